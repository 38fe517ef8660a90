/** The event store over servers that fail, refuse, forget scripts or are not as they should be. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import type { Append, Appended } from '../store/index.ts'
import { EventScripts } from './event-scripts.ts'
import { message, Scene, silent, until } from './fixtures/brokers.ts'
import { all, events, idsOf, made, storageOn, to } from './fixtures/events.ts'
import { startProxy } from './fixtures/proxy.ts'
import { freePort } from './fixtures/tls.ts'
import { scripts } from './scripts/index.ts'

let folder: string
let server: OwnServer
let scene: Scene

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-redis-events-'))
  server = await startServer('redis', { dataDir: join(folder, 'redis') })
})

beforeEach(() => {
  scene = new Scene(server.url)
})

afterEach(() => scene.end())

afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

const baseOf = ({ prefix }: Scene): string => `${prefix}:store:{${prefix}}:`

describe('what is there already', () => {
  test('events of a newer Busbar are refused, and nothing of them is changed', async () => {
    const storage = await storageOn(scene)
    await storage.append([to('order-1', 3)])
    await storage.stop()
    const redis = new Redis(server.url)
    try {
      const head = `${baseOf(scene)}head`
      expect(await redis.hget(head, 'format')).toBe('1')
      await redis.hset(head, 'format', '2')
      const dump = async (): Promise<unknown> => {
        const keys = (await redis.keys(`${baseOf(scene)}*`)).toSorted()
        return Promise.all(keys.map(async (key) => [key, await redis.dumpBuffer(key)]))
      }
      const before = await dump()
      await expect(storageOn(scene)).rejects.toThrow(
        expect.objectContaining({
          name: 'StoreFormatError',
          message: expect.stringMatching(/format 2.*newer Busbar.*Update busbar.*'prefix'/) as string,
        }),
      )
      expect(await dump()).toEqual(before)
    } finally {
      redis.disconnect()
    }
  })

  test("a key of that name that is another program's is refused, and left as it is", async () => {
    const redis = new Redis(server.url)
    const key = `${baseOf(scene)}head`
    try {
      for (const field of [undefined, 'format', 'other']) {
        await redis.del(key)
        await (field === undefined ? redis.set(key, 'mine') : redis.hset(key, field, 'mine'))
        const before = await redis.dumpBuffer(key)
        await expect(storageOn(scene)).rejects.toThrow(/is not Busbar's.*'prefix'/)
        expect(await redis.dumpBuffer(key)).toEqual(before)
      }
    } finally {
      redis.disconnect()
    }
  })
})

describe('a server that dies', () => {
  test('kill -9 in the middle of appends: each is whole or not there, what was confirmed is there, and the storage goes on', async () => {
    const own = await startServer('redis', { dataDir: join(folder, 'killed'), durable: true })
    scene.atEnd(() => own.stop())
    const storage = await storageOn(scene, { url: own.url })
    const confirmed = new Set<string>()
    const running: Promise<void>[] = []
    const given = Array.from({ length: 200 }, (_, n) => [to(`left-${n % 5}`, 3), to(`right-${n % 5}`, 2)])
    const append = async (appends: readonly Append[]): Promise<void> => {
      await storage.append(appends)
      for (const { events: own5 } of appends) for (const id of idsOf(own5)) confirmed.add(id)
    }
    for (const one of given.slice(0, 50)) await append(one)
    for (const one of given.slice(50, 150)) running.push(append(one))
    await own.kill9()
    await own.restart()
    await Promise.all(running)
    for (const one of given.slice(150)) await append(one)
    const stored = await all(storage.readAll())
    expect(new Set(idsOf(stored))).toEqual(confirmed)
    expect(stored.length, 'each once').toBe(1_000)
    for (const stream of ['left-1', 'right-1']) {
      const read = await all(storage.readStream(stream))
      expect(read.map(({ revision }) => revision)).toEqual(read.map((_, n) => n))
    }
  })

  test('who listens goes on after a restart, and claims are still there', async () => {
    const own = await startServer('redis', { dataDir: join(folder, 'restarted'), durable: true })
    scene.atEnd(() => own.stop())
    const [storage, other] = [await storageOn(scene, { url: own.url }), await storageOn(scene, { url: own.url })]
    let wakes = 0
    await storage.listen(() => void wakes++)
    const claim = await storage.checkpoints.claim('reader', 'one', 600_000)
    await own.kill9()
    await own.restart()
    wakes = 0
    await other.append([to('order-1')])
    await until(() => wakes > 0)
    expect(await storage.checkpoints.claim('reader', 'two', 1_000)).toBeUndefined()
    expect(claim && (await storage.checkpoints.advance(claim, '7'))).toBe(true)
  })
})

test('an append whose answer is lost is made once, and the answer that comes then has its revision', async () => {
  const proxy = await startProxy(server.url)
  scene.atEnd(() => proxy.close())
  const storage = await storageOn(scene, { url: proxy.url })
  await storage.append([to('order-1', 2)])
  proxy.loseAnswersTo('lost-1', 2)
  const [appended] = await storage.append([to('lost-1', 3, 'none')])
  expect(proxy.lost).toBe(2)
  expect(appended).toMatchObject({ stream: 'lost-1', revision: 2 })
  expect((await storage.head()).count).toBe(5)
  proxy.loseAnswersTo('order-1', 1)
  expect((await all(storage.readStream('order-1'))).length).toBe(2)
})

test('scripts that the server has forgotten are sent again', async () => {
  const storage = await storageOn(scene)
  for (let n = 0; n < 3; n++) {
    await scene.admin.script('FLUSH')
    await storage.append([to('order-1', 2)])
    await scene.admin.script('FLUSH')
    expect((await all(storage.readAll())).length).toBe(2 * n + 2)
    await scene.admin.script('FLUSH')
    expect((await all(storage.readStream('order-1'))).length).toBe(2 * n + 2)
    await scene.admin.script('FLUSH')
    expect(await storage.checkpoints.claim('reader', 'one', 60_000)).toBeDefined()
  }
})

describe('a server that refuses', () => {
  test('a wrong password, an unknown host and a missing permission are told with the setting', async () => {
    await scene.admin.acl('SETUSER', 'writer', 'on', '>secret', '~*', '&*', '+@all')
    const { host, port } = scene.admin.options
    const given = { host: host as string, port: port as number, username: 'writer' }
    await storageOn(scene, { ...given, password: 'secret' })
    const wrong = made(scene, { ...given, password: 'wrong-password' }).start()
    await expect(wrong).rejects.toThrow(/cannot use the Redis server .*WRONGPASS.*password/s)
    await expect(wrong).rejects.not.toThrow(/wrong-password/)
    await expect(made(scene, { host: 'no-such-host.invalid' }).start()).rejects.toThrow(/ENOTFOUND.*url or host/s)
    await scene.admin.acl('SETUSER', 'looker', 'on', '>secret', '~*', '&*', '+@read', '+ping', '+info', '+client')
    const looker = made(scene, { ...given, username: 'looker', password: 'secret' }).start()
    await expect(looker).rejects.toThrow(/lacks a permission: .*NOPERM.*username/s)
  })

  test('a start that waits for a server that never comes is ended by stop', async () => {
    const storage = made(scene, { url: `redis://127.0.0.1:${await freePort()}` })
    const starting = storage.start().catch((error: unknown) => error as Error)
    await storage.stop()
    expect(await starting).toMatchObject({ name: 'BrokerError' })
  })

  test('a Redis without memory refuses an append as a whole, says so, and takes it when there is memory again', async () => {
    const storage = await storageOn(scene)
    const given = [to('order-1', 2), to('order-2', 1)]
    await scene.admin.config('SET', 'maxmemory', '1')
    const refusal = storage.append(given).catch((error: unknown) => error as Error)
    await refusal
    await scene.admin.config('SET', 'maxmemory', '0')
    expect(await refusal).toMatchObject({ name: 'BrokerError', message: expect.stringMatching(/OOM|maxmemory/) })
    expect(await storage.head()).toEqual({ position: '', count: 0 })
    expect(await storage.append(given)).toMatchObject([{ repeated: false }, { repeated: false }])
  })

  test('a key that is something else is told, and nothing of the append is written', async () => {
    const storage = await storageOn(scene)
    await scene.admin.set(`${baseOf(scene)}m:order-2`, 'not ours')
    const wrong = storage.append([to('order-1'), to('order-2')])
    await expect(wrong).rejects.toThrow(/refused what the event store asked.*WRONGTYPE/s)
    expect(await storage.head()).toEqual({ position: '', count: 0 })
    expect((await storage.info('order-1')).revision).toBe(-1)
  })

  test('who may not hear hints is woken a little later', async () => {
    await scene.admin.acl('SETUSER', 'deaf', 'on', '>secret', '~*', 'resetchannels', '+@all')
    const deaf = await storageOn(scene, { username: 'deaf', password: 'secret' })
    const other = await storageOn(scene)
    let seen = 0
    await deaf.listen(() => {
      void deaf.head().then(({ count }) => (seen = count))
    })
    for (let n = 1; n <= 3; n++) {
      await other.append([to('order-1')])
      await until(() => seen === n)
    }
    const [appended] = await deaf.append([to('order-1')])
    expect(appended?.revision).toBe(3)
    await until(() => seen === 4)
  })
})

test('verify tells how safe the server keeps events, and start warns of the worst', async () => {
  const warnings: object[] = []
  const logger = { ...silent, warn: (fields: object) => void warnings.push(fields) }
  const storage = await storageOn(scene, { logger })
  expect(await storage.verify()).toMatchObject([{ setting: 'appendfsync', expected: 'always', found: 'everysec' }])
  expect(warnings).toEqual([])
  await scene.admin.config('SET', 'appendonly', 'no')
  await scene.admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  try {
    const settings = (await storage.verify()).map(({ setting }) => setting)
    expect(settings).toEqual(['maxmemory-policy', 'appendonly'])
    await storageOn(scene, { logger })
    expect(warnings).toMatchObject([{ setting: 'maxmemory-policy' }, { setting: 'appendonly', expected: 'yes' }])
  } finally {
    await scene.admin.config('SET', 'appendonly', 'yes')
    await scene.admin.config('SET', 'maxmemory-policy', 'noeviction')
  }
})

describe('removal', () => {
  test('leaves nothing of a deleted stream in any key, but its tombstone and the ids', async () => {
    const storage = await storageOn(scene)
    await storage.append([to('order-1', 700)])
    await storage.deleteStream('order-1', { by: 'somebody' })
    const base = baseOf(scene)
    const keys = (await scene.admin.keys(`${base}*`)).map((key) => key.slice(base.length)).toSorted()
    expect(keys).toEqual(['all', 'head', 'ids', 'm:order-1'])
    expect(await scene.admin.xlen(`${base}all`)).toBe(0)
    expect(await storage.info('order-1')).toMatchObject({ revision: 699, first: 700, deletedBy: 'somebody' })
  })

  test('that a process left undone is seen by nobody, and the next start takes the rest out', async () => {
    const storage = await storageOn(scene)
    await storage.append([to('gone-1', 500), to('short-1', 500), to('order-1', 1)])
    const base = baseOf(scene)
    const redis = new Redis(server.url, { scripts })
    scene.atEnd(() => redis.disconnect())
    // As if the process had died between the write that removes and what it does after it.
    const half = new EventScripts(base, 'here', () => redis)
    await half.run('busbarRemoveEvents', ['gone-1', '', 'exists', ''])
    await half.run('busbarRemoveEvents', ['short-1', '490', '', ''])
    expect(await scene.admin.xlen(`${base}all`)).toBe(1_001)
    expect((await storage.head()).count).toBe(11)
    for (const options of [{}, { types: ['T'] }, { categories: ['gone', 'short', 'order'] }, { limit: 11 }]) {
      const read = await all(storage.readAll(options))
      expect(read.map(({ stream }) => stream)).toEqual([...Array<string>(10).fill('short-1'), 'order-1'])
    }
    expect((await all(storage.readStream('gone-1'))).length).toBe(0)
    expect((await all(storage.readStream('short-1'))).length).toBe(10)
    await storageOn(scene)
    await until(async () => (await scene.admin.xlen(`${base}all`)) === 11)
    await until(async () => (await scene.admin.exists(`${base}removing`)) === 0)
    expect((await storage.head()).count).toBe(11)
  })
})

describe('what is too much', () => {
  test('ten thousand events are one append; more than the server takes in one command is refused, and nothing is written', async () => {
    const storage = await storageOn(scene)
    const [appended] = await storage.append([to('order-1', 10_000)])
    expect(appended?.revision).toBe(9_999)
    expect((await all(storage.readStream('order-1'))).length).toBe(10_000)
    await expect(storage.append([to('order-2', 50_000)])).rejects.toMatchObject({ name: 'AppendError' })
    expect((await storage.head()).count).toBe(10_000)
  })

  test('an event with more headers than a script takes is refused, and nothing of its append is written', async () => {
    const storage = await storageOn(scene)
    const headers = Object.fromEntries(Array.from({ length: 2_001 }, (_, n) => [`h${n}`, 'x']))
    const many = { topic: 'events', message: { ...message('1'), metadata: { correlationId: 'c', ...headers } } }
    const refused = storage.append([to('order-1', [...events(1), many])])
    await expect(refused).rejects.toThrow(/2002 headers.*takes 2000.*nothing was written/)
    expect((await storage.head()).count).toBe(0)
  })
})

test('a position of another store is refused with what to give', async () => {
  const storage = await storageOn(scene)
  await expect(all(storage.readAll({ after: '0/12' }))).rejects.toThrow(/'0\/12' is no position.*beginning/)
})

test('two storages with different prefixes share a server and see nothing of each other', async () => {
  const one = await storageOn(scene)
  const other = await storageOn(scene, { prefix: `${scene.prefix}:other` })
  const answers: Appended[] = []
  for (const storage of [one, other]) answers.push(...(await storage.append([to('order-1', 1, 'none')])))
  expect(answers.map(({ revision }) => revision)).toEqual([0, 0])
  for (const storage of [one, other]) expect((await all(storage.readAll())).length).toBe(1)
})
