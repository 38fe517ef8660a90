/** `npm run test:servers`: the real ones. They are installed where they are missing, so this takes its time. */
import { readdirSync, readlinkSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Brokers } from './brokers.ts'
import { folderForTest, remove } from './dummy.fixture.ts'
import { cacheFolder } from './folder.ts'
import { familyOf, type Identity, identify, isAlive } from './identity.ts'
import { keepsakes } from './keepsake.fixture.ts'
import { kinds } from './kinds.ts'
import { type ServerProcess, serverOf } from './launch.ts'
import { readRecord } from './records.ts'
import { serverNames, type ServerName } from './server.ts'
import { startServer } from './start.ts'

// A folder that only its owner can enter: PostgreSQL, as another user, has to get into it all the same.
let folder: string
beforeAll(() => {
  folder = folderForTest()
})
afterAll(async () => {
  await brokers().down(Object.values(kinds))
  remove(folder)
})

const say = (text: string): void => void process.stderr.write(`${text}\n`)
const brokers = () => new Brokers({ folder, cache: cacheFolder(), env: {}, say })
const recorded = (name: ServerName): readonly ServerProcess[] => readRecord(join(folder, name))?.processes ?? []

/** Addresses, in the kernel's spelling, that these processes listen on. */
function listening(processes: readonly Identity[]): readonly string[] {
  const sockets = new Set(
    processes.flatMap(({ pid }) =>
      descriptorsOf(pid).flatMap((fd) => {
        try {
          return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
        } catch {
          // Closed since it was listed.
          return []
        }
      }),
    ),
  )
  const rows = ['tcp', 'tcp6'].flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').split('\n').slice(1))
  const fields = rows.map((row) => row.trim().split(/\s+/))
  return fields.flatMap(([, address = '', , state, , , , , , inode = '']) =>
    state === '0A' && sockets.has(inode) ? [address] : [],
  )
}

function descriptorsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`)
  } catch {
    // PostgreSQL's workers come and go.
    return []
  }
}

/** 127.0.0.1, ::1 and ::ffff:127.0.0.1. */
const loopback = /^(0100007F|00000000000000000000000001000000|0000000000000000FFFF00000100007F):/

describe.each(serverNames)('%s', (name) => {
  const kind = kinds[name]
  let url: string
  let before: readonly ServerProcess[]

  test('comes up and answers', { timeout: 900_000 }, async () => {
    const [upped] = await brokers().up([kind], { native: true })
    expect(upped).toMatchObject({ source: 'native' })
    url = upped !== undefined && 'url' in upped ? upped.url : ''
    await kind.answers(url)
    before = recorded(name)
    await keepsakes[name].leave(url)
  })

  test('listens on loopback only', () => {
    const addresses = listening(before.flatMap(familyOf))
    expect(addresses.length).toBeGreaterThan(0)
    expect(addresses.filter((address) => !loopback.test(address))).toEqual([])
  })

  test('is left as it is by another up', async () => {
    await brokers().up([kind], { native: true })
    expect(recorded(name)).toEqual(before)
  })

  test('is dead after a kill -9 from outside, and revived with its data', { timeout: 300_000 }, async () => {
    // Only the process that anyone sees; what it had around it has to be coped with.
    process.kill(serverOf(before)?.pid ?? 0, 'SIGKILL')
    const [upped] = await brokers().up([kind], { native: true })
    expect(upped).toMatchObject({ url })
    expect(before.filter(isAlive)).toEqual([])
    expect(await keepsakes[name].isThere(url)).toBe(true)
  })

  test('is gone after down, with all its processes', { timeout: 120_000 }, async () => {
    const family = recorded(name).flatMap(familyOf)
    expect(family.length).toBeGreaterThan(0)
    await brokers().down([kind])
    expect(family.filter(isAlive)).toEqual([])
    expect(await brokers().status([kind])).toEqual([{ name, state: 'stopped' }])
  })

  test('of a test’s own: durable, killed, restarted, stopped', { timeout: 300_000 }, async () => {
    const own = await startServer(name, { dataDir: join(folder, `own-${name}`), durable: true })
    // It is another server: what was left in the first is not here.
    expect(await keepsakes[name].isThere(own.url).catch(() => false)).toBe(false)
    await keepsakes[name].leave(own.url)
    const { pid } = own
    await own.kill9()
    await expect(kind.answers(own.url)).rejects.toThrow('127.0.0.1')
    await own.restart()
    await kind.answers(own.url)
    expect(own.pid).not.toBe(pid)
    expect(await keepsakes[name].isThere(own.url)).toBe(true)
    await own.stop()
    expect(identify(own.pid)).toBeUndefined()
  })
})
