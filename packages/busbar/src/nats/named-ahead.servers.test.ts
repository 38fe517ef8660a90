/** What this process publishes reaches its own members a round trip earlier: the cursor that names it leaves with it. */
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, MsgHdrsImpl, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type CursorState, decode } from './cursor.ts'
import { message, order, patience, spec, started as startedWith } from './fixtures/messages.ts'
import { sharedNats } from './fixtures/servers.ts'
import type { NatsBroker } from './index.ts'
import { Names } from './names.ts'
import { toWire } from './wire.ts'

let shared: Awaited<ReturnType<typeof sharedNats>>
let nc: NatsConnection
let jsm: JetStreamManager
let tests = 0
let names: Names

beforeAll(async () => {
  shared = await sharedNats()
})

afterAll(() => shared.end())

beforeEach(async () => {
  nc = await connect({ servers: shared.server.url })
  jsm = await jetstreamManager(nc)
  names = new Names(`ahead${++tests}`)
})

afterEach(() => nc.close())

function started(): Promise<NatsBroker> {
  return startedWith({ servers: shared.server.url, prefix: names.prefix, partitions: 1 })
}

const cursorSubject = (): string => names.cursor('g', 'orders', 0)

async function stored(): Promise<CursorState> {
  const found = await jsm.streams.getMessage(names.state, { last_by_subj: cursorSubject() })
  return decode(found?.string() ?? '')
}

async function publishElsewhere(id: string): Promise<void> {
  const { headers, data } = toWire(message(id), (values = {}) => MsgHdrsImpl.fromRecord(values), id)
  await jetstream(nc).publish(names.log('orders', 0), data, { headers })
}

/** Sequence of the first message of the log after `position`. */
async function firstAfter(position: number): Promise<number | undefined> {
  const stream = await jsm.streams.find(names.log('orders', 0))
  const request = { seq: position + 1, next_by_subj: names.log('orders', 0) }
  return (await jsm.streams.getMessage(stream, request))?.seq
}

test('what is published in the same process is handed out with the cursor that left with it', async () => {
  const broker = await started()
  const ids: string[] = []
  const ahead: string[] = []
  await broker.subscribe(spec(), async ({ message: { id } }) => {
    ids.push(id)
    // A turn may have been under way when it was published: then it is named when it comes.
    if ((await stored()).ahead === id) ahead.push(id)
    return { ack: true }
  })
  for (let n = 0; ahead.length < 10 && n < 1_000; n++) {
    await broker.publish([order(`m${n}`)])
    await vi.waitFor(() => expect(ids).toHaveLength(n + 1), patience)
  }
  expect(ahead).toHaveLength(10)
  expect(ids).toEqual(ids.map((_, n) => `m${n}`))
})

test('whatever is handed out is named by what is stored, also where others publish in between', async () => {
  const broker = await started()
  const seen: string[] = []
  const unnamed: string[] = []
  await broker.subscribe(spec(), async ({ message: { id }, position }) => {
    const state = await stored()
    const seq = Number(position.split('@')[1])
    const listed = state.open.some((item) => item.seq === seq)
    if (!listed && !(state.ahead === id && (await firstAfter(state.position)) === seq)) unnamed.push(id)
    seen.push(id)
    return { ack: true }
  })
  const elsewhere: Promise<void>[] = []
  for (let n = 0; n < 200; n++) {
    if (n % 3 === 0) elsewhere.push(publishElsewhere(`other${n}`))
    await broker.publish([order(`own${n}`)])
    if (n % 5 > 0) await vi.waitFor(() => expect(seen).toContain(`own${n}`), { ...patience, interval: 1 })
  }
  await Promise.all(elsewhere)
  await vi.waitFor(() => expect(seen).toHaveLength(200 + elsewhere.length), patience)
  expect(unnamed).toEqual([])
  expect(new Set(seen).size).toBe(seen.length)
})

test('what has settled is stored soon where nothing comes after it', async () => {
  const broker = await started()
  const seen: number[] = []
  await broker.subscribe(spec(), ({ position }) => {
    seen.push(Number(position.split('@')[1]))
    return { ack: true }
  })
  await broker.publish([order('only')])
  // Nothing asks the broker for anything meanwhile: `metrics` would have it stored.
  await vi.waitFor(async () => {
    const { position, open, ahead } = await stored()
    expect({ position, open, ahead }).toEqual({ position: seen[0] ?? -1, open: [], ahead: undefined })
  }, patience)
})

/** A member died after it had stored that, and with it what it had handed out. */
async function deadMember(broker: NatsBroker, state: object): Promise<void> {
  const member = await broker.subscribe(spec(), () => ({ ack: true }))
  await member.stop()
  await jetstream(nc).publish(cursorSubject(), JSON.stringify({ owner: 'dead', position: 0, open: '', ...state }))
}

async function firstDeliveries(broker: NatsBroker, count: number): Promise<readonly object[]> {
  const seen: object[] = []
  await broker.subscribe(spec(), ({ message: { id }, attempts, crashes }) => {
    seen.push({ id, attempts, crashes })
    return { ack: true }
  })
  await vi.waitFor(() => expect(seen).toHaveLength(count), patience)
  return seen
}

test('what was named ahead when its member died counts as handed out: it may be what killed it', async () => {
  const broker = await started()
  await deadMember(broker, { ahead: 'killer' })
  await broker.publish([order('killer'), order('behind')])
  expect(await firstDeliveries(broker, 2)).toEqual([
    { id: 'killer', attempts: 1, crashes: 1 },
    { id: 'behind', attempts: 0, crashes: 0 },
  ])
})

test('where another message came before it, neither counts as handed out', async () => {
  const broker = await started()
  await deadMember(broker, { ahead: 'named' })
  await broker.publish([order('other'), order('named')])
  expect(await firstDeliveries(broker, 2)).toEqual([
    { id: 'other', attempts: 0, crashes: 0 },
    { id: 'named', attempts: 0, crashes: 0 },
  ])
})

test('where it was never stored, nothing counts as handed out, and garbage in its place neither', async () => {
  const broker = await started()
  await deadMember(broker, { ahead: 'gone' })
  await jetstream(nc).publish(names.log('orders', 0), 'no event at all')
  await broker.publish([order('later')])
  expect(await firstDeliveries(broker, 1)).toEqual([{ id: 'later', attempts: 0, crashes: 0 }])
  expect((await broker.metrics()).groups).toMatchObject([{ group: 'g', lag: 0 }])
})
