import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { dummy, folderForTest, remove, startsIn, until } from './dummy.fixture.ts'
import { identify, isAlive } from './identity.ts'
import { freePort } from './ports.ts'
import { type OwnServer, startServerOf } from './start.ts'

const kind = dummy()
let folder: string
let server: OwnServer | undefined

beforeEach(() => {
  folder = folderForTest()
  vi.stubEnv('BUSBAR_BROKERS_FOLDER', join(folder, 'brokers'))
})
afterEach(async () => {
  await server?.stop()
  server = undefined
  vi.unstubAllEnvs()
  remove(folder)
})

const dataDir = () => join(folder, 'data')

describe('a server of one’s own', () => {
  test('listens on the port that was asked for', async () => {
    const port = await freePort()
    server = await startServerOf(kind, { dataDir: dataDir(), port })
    expect(server.url).toContain(`127.0.0.1:${port}`)
    await kind.answers(server.url)
  })

  test('is gone after kill9, and back after restart: same URL, same data, another process', async () => {
    server = await startServerOf(kind, { dataDir: dataDir() })
    const { url, pid } = server
    await server.kill9()
    expect(identify(pid)).toBeUndefined()
    await expect(kind.answers(url)).rejects.toThrow('ECONNREFUSED')

    await server.restart()
    expect(server.url).toBe(url)
    expect(server.pid).not.toBe(pid)
    expect(startsIn(dataDir())).toBe(2)
    await kind.answers(url)
  })

  test('restarts in order while it runs', async () => {
    server = await startServerOf(kind, { dataDir: dataDir() })
    const { pid } = server
    await server.restart()
    expect(identify(pid)).toBeUndefined()
    await kind.answers(server.url)
  })

  test('finds its data again when it is started anew', async () => {
    const first = await startServerOf(kind, { dataDir: dataDir() })
    await first.stop()
    server = await startServerOf(kind, { dataDir: dataDir() })
    expect(startsIn(dataDir())).toBe(2)
    expect(new URL(server.url).password).toBe(new URL(first.url).password)
  })

  test('leaves nothing running when it cannot start, and says what it printed', async () => {
    const broken = dummy({ program: "console.error('no room'); process.exit(1)" })
    await expect(startServerOf(broken, { dataDir: dataDir() })).rejects.toThrow(/did not start[^]*no room/)
  })

  test('ends when the process that started it ends, also by kill -9 where the system can see to that', async () => {
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', ownerOf(dataDir())], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [printed] = (await once(owner.stdout, 'data')) as [Buffer]
    const started = identify(Number(printed.toString()))
    expect(started).toBeDefined()
    if (process.platform === 'linux') owner.kill('SIGKILL')
    else owner.stdin.end()
    await until('its server to end', () => !isAlive(started!))
  })

  test('writes down what it prints', async () => {
    server = await startServerOf(dummy({ program: `console.log('hello'); ${listening}` }), { dataDir: dataDir() })
    expect(readFileSync(join(dataDir(), 'log'), 'utf8')).toContain('hello')
  })
})

const listening = `require('node:net').createServer((s) => s.end('dummy\\n')).listen(process.env.PORT, '127.0.0.1')`

function ownerOf(dataDir: string): string {
  const module = (name: string) => JSON.stringify(join(import.meta.dirname, name))
  return `
    const { startServerOf } = await import(${module('start.ts')})
    const { dummy } = await import(${module('dummy.fixture.ts')})
    const server = await startServerOf(dummy(), { dataDir: ${JSON.stringify(dataDir)} })
    console.log(server.pid)
    process.stdin.on('end', () => process.exit()).resume()`
}
