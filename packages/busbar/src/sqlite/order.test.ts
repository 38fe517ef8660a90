import { expect, test } from 'vitest'
import { WorkerProcess } from './fixtures/processes.ts'
import { collect, eventually, numbered, outgoing, scratchFile, started } from './fixtures/scratch.ts'
import type { WorkerReport } from './fixtures/worker.ts'

/** What is handled is handled in order: the runs of a key that ended, without repetitions, count up from 0. */
function expectOrder(reports: readonly WorkerReport[], each: number): void {
  const seen = new Map<string, number>()
  // By the time of their process: two pipes may be read in another order than they were written.
  for (const { key = '', body } of reports.toSorted((a, b) => a.at - b.at)) {
    const number = Number(body)
    const next = seen.get(key) ?? 0
    // A repetition after a crash is allowed, a gap is not.
    expect(number, `${key}: ${number} came where at most ${next} could`).toBeLessThanOrEqual(next)
    if (number === next) seen.set(key, next + 1)
  }
  for (const [key, count] of seen) expect(count, `messages of ${key}`).toBe(each)
}

test('three processes share a file: order by key holds while they join, leave and are killed', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  const done: WorkerReport[] = []
  const task = { file, do: 'consume', lease: 600, prefetch: 20, slow: 2 } as const
  const start = (): WorkerProcess => new WorkerProcess(task, (report) => report.what === 'done' && done.push(report))
  const keys = 24
  let rounds = 0
  const enough = new AbortController()
  // One message of each key after another, for as long as members come and go.
  const publisher = (async () => {
    for (; !enough.signal.aborted; rounds++) {
      const round = String(rounds)
      await broker.publish(Array.from({ length: keys }, (_, n) => outgoing({ key: `k${n}`, body: round })))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })()
  const first = start()
  await first.reported('done', 50)
  const second = start()
  await second.reported('done', 50)
  const third = start()
  await third.reported('done', 50)
  await second.terminate()
  const before = third.of('done').length
  await third.reported('done', before + 50)
  await first.kill()
  const fourth = start()
  await fourth.reported('done', 50)
  enough.abort()
  await publisher
  const handled = (): number => new Set(done.map(({ key, body }) => `${key} ${body}`)).size
  await eventually(() => handled() === keys * rounds, `${keys * rounds} messages handled`)
  expectOrder(done, rounds)
  // Only the killed one can have left repetitions, at most as many as it had open.
  expect(done.length - handled()).toBeLessThanOrEqual(20)
  await fourth.terminate()
})

test('members share the partitions, and the clean stop of one gives them to the others at once', async () => {
  const file = scratchFile()
  const [one, two] = [await started({ file, lease: 60_000 }), await started({ file, lease: 60_000 })]
  await one.publish(numbered(16, 16))
  const first = await collect(one, { prefetch: 100 })
  await eventually(() => first.deliveries.length === 16, '16 deliveries')
  const second = await collect(two, { prefetch: 100 })
  await eventually(async () => {
    await one.publish(numbered(50, 50))
    return second.deliveries.length > 0
  }, 'a share for the second member')
  const sent = async (): Promise<number> => (await one.metrics()).topics[0]?.depth ?? 0
  await first.stop()
  await one.publish(numbered(50, 50))
  const total = await sent()
  await eventually(() => first.deliveries.length + second.deliveries.length === total, 'everything, once')
  const ids = [...first.deliveries, ...second.deliveries].map((delivery) => delivery.message.id)
  expect(new Set(ids).size).toBe(total)
})

test('more members than partitions: those without one wait, and take over', async () => {
  const broker = await started({ file: scratchFile(), partitions: 2 })
  const members = [await collect(broker), await collect(broker), await collect(broker)]
  await broker.publish(numbered(60, 6))
  const count = (): number => members.reduce((sum, member) => sum + member.deliveries.length, 0)
  await eventually(() => count() === 60, '60 deliveries')
  await members[0]?.stop()
  await members[1]?.stop()
  await broker.publish(numbered(60, 6))
  await eventually(() => count() === 120, '60 more by the last one')
  expect(members[2]?.deliveries.length).toBeGreaterThanOrEqual(60)
})
