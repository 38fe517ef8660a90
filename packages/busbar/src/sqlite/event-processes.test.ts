import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { APPEND, logValues } from '../sql/log.ts'
import { migrate } from '../sql/schema.ts'
import { sqliteDialect } from './dialect.ts'
import { SqliteExecutor } from './executor.ts'
import type { AppenderTask } from './fixtures/appender.ts'
import { all, storageOf } from './fixtures/events.ts'
import { collect, eventually, message, quiet, scratchFile, started, textOf } from './fixtures/scratch.ts'

const APPENDER = fileURLToPath(new URL('fixtures/appender.ts', import.meta.url))

function appender(task: AppenderTask): {
  readonly child: ChildProcess
  readonly lines: string[]
  readonly ended: Promise<number | null>
} {
  const child = spawn(process.execPath, [APPENDER, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  onTestFinished(() => void child.kill('SIGKILL'))
  return { child, lines, ended }
}

test('two processes race for one stream: each revision is given once, and nobody writes over the other', async () => {
  const file = scratchFile()
  const storage = await storageOf({ file, logger: quiet })
  const processes = ['a', 'b'].map((name) => appender({ file, name, what: 'race', count: 150 }))
  expect(await Promise.all(processes.map((one) => one.ended))).toEqual([0, 0])
  const read = await all(storage.readStream('race-1'))
  expect(read.map((one) => one.revision)).toEqual(Array.from({ length: 300 }, (_, n) => n))
  for (const name of ['a', 'b']) {
    const own = read.map((one) => textOf(one)).filter((body) => body.startsWith(name))
    expect(own).toEqual(Array.from({ length: 150 }, (_, n) => `${name} ${n}`))
  }
})

test('kill -9 during an append leaves all of it or nothing', async () => {
  const file = scratchFile()
  const storage = await storageOf({ file, logger: quiet })
  for (const name of ['first', 'second', 'third']) {
    const { child, lines, ended } = appender({ file, name, what: 'large', count: 2_000 })
    await eventually(() => lines.length >= 2 || child.exitCode !== null, 'one append')
    child.kill('SIGKILL')
    await ended
    const confirmed = Math.max(-1, ...lines.map(Number).filter(Number.isFinite))
    expect(confirmed).toBeGreaterThanOrEqual(0)
    for (let n = 0; n <= confirmed + 1; n++) {
      const large = await all(storage.readStream(`large-${name}-${n}`))
      const other = await all(storage.readStream(`other-${name}-${n}`))
      expect(large.length, `append ${n}`).toBe(other.length)
      expect(n <= confirmed ? [2_000] : [0, 2_000]).toContain(large.length)
    }
  }
})

test('a file of the version before events is brought up to date, with what is in it', async () => {
  const file = scratchFile()
  const executor = new SqliteExecutor({ file, synchronous: 'normal', busyTimeout: 1_000 })
  await executor.open()
  await migrate(executor, { ...sqliteDialect, migrations: sqliteDialect.migrations.slice(0, 1) }, 'a file')
  await executor.run(`INSERT INTO busbar_topics (name, partitions) VALUES ('orders', 4)`)
  await executor.run(APPEND, logValues(1, 0, message({ body: 'old' })))
  await executor.close()
  const broker = await started({ file })
  const storage = await storageOf({ broker })
  await storage.append([
    { stream: 'order-1', events: [{ topic: 'orders', message: message({ body: 'new' }) }], expected: 'none' },
  ])
  const { bodies } = await collect(broker)
  await eventually(() => bodies.length === 2, 'both')
  expect((await all(storage.readAll())).map((one) => one.message.body)).toEqual(['new'])
})
