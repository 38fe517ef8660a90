/** Servers that are restored, restarted and copied: each with servers of the test's own. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, chownSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import type { NewEvent } from '../store/index.ts'
import { PostgresEventStorage } from './index.ts'
import { collector, out, spec, until, World } from './fixtures/world.ts'

let folder: string
let server: OwnServer
const servers: OwnServer[] = []
const worlds: World[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-postgres-'))
  server = await start('first')
})

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.end()
})

afterAll(async () => {
  await Promise.all(servers.map((one) => one.stop()))
  await rm(folder, { recursive: true, force: true })
})

async function start(name: string): Promise<OwnServer> {
  const one = await startServer('postgres', { dataDir: join(folder, name) })
  servers.push(one)
  return one
}

function worldOf(one: OwnServer): World {
  const world = new World(() => one.url)
  worlds.push(world)
  return world
}

/** A program of the newest Postgres here. */
function program(name: string): string {
  const debian = '/usr/lib/postgresql'
  const [newest] = readdirSync(debian).toSorted((a, b) => Number(b) - Number(a))
  return join(debian, newest ?? '', 'bin', name)
}

test('transaction ids begin anew in a new cluster: after a dump was restored there, what is new comes after what was restored', async () => {
  const world = worldOf(server)
  const first = await world.broker()
  // Ids of the old cluster are far ahead of those of a new one.
  const client = await world.client()
  for (let n = 0; n < 200; n++) await client.query('SELECT pg_current_xact_id()')
  const [read, unread] = [spec(), spec()]
  const before = collector()
  await (await first.subscribe(unread, before.deliver)).stop()
  const subscription = await first.subscribe(read, before.deliver)
  await first.publish(Array.from({ length: 20 }, (_, n) => out(String(n), `k${n % 2}`)))
  await until(() => before.seen.length === 20)
  await subscription.stop()
  await first.stop()

  const target = await start('second')
  const dump = execFileSync(program('pg_dump'), ['--format=custom', `--schema=${world.schema}`, server.url])
  execFileSync(program('pg_restore'), [`--dbname=${target.url}`, '--exit-on-error'], { input: dump })
  const restored = await world.client(target.url)
  const { rows } = await restored.query<{ next: string; last: string }>(
    `SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next,
       (SELECT MAX(substr(position, 6, 14)) FROM busbar_messages) AS last`,
  )
  expect(Number(rows[0]?.next), 'the new cluster is behind the old one').toBeLessThan(
    Number.parseInt(rows[0]?.last ?? '', 16),
  )

  const brokers = await Promise.all(Array.from({ length: 3 }, () => world.broker({ url: target.url })))
  const epochs = await restored.query(`SELECT value FROM busbar_meta WHERE name = 'epoch'`)
  expect(epochs.rows, 'one step, though several processes saw it').toEqual([{ value: '0002' }])
  const [again, whole] = [collector(), collector()]
  await brokers[0]?.subscribe(read, again.deliver)
  await brokers[1]?.publish(Array.from({ length: 20 }, (_, n) => out(String(20 + n), `k${n % 2}`)))
  await brokers[2]?.subscribe(unread, whole.deliver)
  await until(() => again.seen.length >= 20 && whole.seen.length >= 40)
  const ofKey = (all: typeof again, key: string): unknown[] =>
    all.seen.filter((delivery) => delivery.message.key === key).map((delivery) => Number(delivery.message.body))
  for (const key of ['k0', 'k1']) {
    const odd = key === 'k1' ? 1 : 0
    expect(ofKey(again, key)).toEqual(Array.from({ length: 10 }, (_, n) => 20 + 2 * n + odd))
    expect(ofKey(whole, key)).toEqual(Array.from({ length: 20 }, (_, n) => 2 * n + odd))
  }
  await Promise.all(brokers.map((broker) => broker.stop()))
})

test('events that were restored into a new cluster are read before those that are appended there, and streams go on', async () => {
  const world = worldOf(server)
  const client = await world.client()
  for (let n = 0; n < 50; n++) await client.query('SELECT pg_current_xact_id()')
  const event = (body: string): NewEvent => ({ topic: 'events', message: out(body).message })
  const first = new PostgresEventStorage({ broker: await world.broker() })
  await first.append([{ stream: 'order-1', events: [event('0'), event('1')], expected: 'none' }])
  const claim = await first.checkpoints.claim('mails', 'a', 1)
  const place = await first.head()
  if (claim !== undefined) await first.checkpoints.advance(claim, place.position)

  const target = await start('events')
  const dump = execFileSync(program('pg_dump'), ['--format=custom', `--schema=${world.schema}`, server.url])
  execFileSync(program('pg_restore'), [`--dbname=${target.url}`, '--exit-on-error'], { input: dump })
  const second = new PostgresEventStorage({ broker: await world.broker({ url: target.url }) })
  await second.append([{ stream: 'order-1', events: [event('2')], expected: 1 }])
  await second.append([{ stream: 'order-2', events: [event('3')], expected: 'none' }])
  const read = async (after: string): Promise<unknown[]> => {
    const bodies: unknown[] = []
    for await (const one of second.readAll({ after })) bodies.push(one.message.body)
    return bodies
  }
  await until(async () => (await read('')).length === 4)
  expect(await read('')).toEqual(['0', '1', '2', '3'])
  expect(await read((await second.checkpoints.get('mails'))?.position ?? ''), 'what is new comes after').toEqual([
    '2',
    '3',
  ])
})

test('a server that is killed with -9 and comes back only delays: nothing confirmed is lost, nothing is there twice', async () => {
  const world = worldOf(server)
  const broker = await world.broker()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const sent: string[] = []
  const stop = new AbortController()
  const publishing = (async () => {
    for (let n = 0; !stop.signal.aborted; n += 10) {
      const batch = Array.from({ length: 10 }, (_, i) => out(String(n + i), `k${(n + i) % 5}`))
      await broker.publish(batch)
      sent.push(...batch.map((one) => one.message.id))
    }
  })()
  for (let round = 0; round < 3; round++) {
    const reached = sent.length + 100
    await until(() => sent.length >= reached)
    await server.kill9()
    await server.restart()
  }
  const reached = sent.length + 100
  await until(() => sent.length >= reached)
  stop.abort()
  await publishing
  await until(() => new Set(seen.map((delivery) => delivery.message.id)).size >= sent.length)
  expect(new Set(seen.map((delivery) => delivery.message.id))).toEqual(new Set(sent))
  const client = await world.client()
  const { rows } = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM busbar_messages')
  expect(rows[0]?.count).toBe(sent.length)
  // By key in order, where each is counted when it came first.
  const first = new Map<string, number>()
  for (const { message } of seen) if (!first.has(message.id)) first.set(message.id, Number(message.body))
  const ofKey = Map.groupBy(first.values(), (n) => n % 5)
  for (const numbers of ofKey.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
})

test('a server that is away at start only delays', async () => {
  const world = worldOf(server)
  await server.stop()
  const broker = world.make()
  const started = broker.start()
  await server.restart()
  await started
  expect(await broker.verify()).toEqual([])
})

test('a broker stops by its deadline though the server is away', async () => {
  const world = worldOf(server)
  const broker = await world.broker()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish([out('1')])
  await until(() => seen.length === 1)
  await server.stop()
  const begun = performance.now()
  await broker.stop({ deadline: 500 })
  expect(performance.now() - begun, 'not as long as connectTimeout').toBeLessThan(60_000)
  await server.restart()
})

test('a stop ends a start that waits for its server, also for one that takes the connection and says nothing', async () => {
  const mute = createServer(() => {})
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  const { port } = mute.address() as AddressInfo
  for (const url of ['postgres://127.0.0.1:1/busbar', `postgres://127.0.0.1:${port}/busbar`]) {
    const broker = worldOf(server).make({
      url,
      connectTimeout: 3_600_000,
      client: { connectionTimeoutMillis: 3_600_000 },
    })
    const failure = broker.start().catch((error: unknown) => error)
    await sleep(100)
    await broker.stop()
    expect(String(await failure)).toMatch(/the postgres broker of .* was stopped; make another one/)
  }
  mute.close()
})

test('a replica is refused: it cannot be written to and shows commits late', async () => {
  await server.stop()
  const copy = join(folder, 'standby')
  await cp(join(folder, 'first'), copy, { recursive: true })
  const data = join(copy, 'cluster', 'data')
  own(copy, statSync(join(folder, 'first', 'cluster', 'data')))
  writeFileSync(join(data, 'standby.signal'), '')
  appendFileSync(join(data, 'postgresql.conf'), '\nhot_standby = on\n')
  const standby = await start('standby')
  await server.restart()
  const world = worldOf(server)
  const broker = world.make({ url: standby.url })
  await expect(broker.start()).rejects.toThrow(/standby \(a replica\).*name the primary \('host'\)/)
})

/** Copies are ours; the server runs as another user. */
function own(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  for (const entry of readdirSync(path, { withFileTypes: true, recursive: true })) {
    const file = join(entry.parentPath, entry.name)
    if (file.startsWith(join(path, 'cluster'))) chownSync(file, uid, gid)
  }
}
