/** The hazards of NATS, over a server of this test's own. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Delivery, Verdict } from '../broker/index.ts'
import { message, order, patience, spec, started as startedWith } from './fixtures/messages.ts'
import { sharedNats } from './fixtures/servers.ts'
import type { NatsBroker, NatsBrokerOptions } from './index.ts'

let shared: Awaited<ReturnType<typeof sharedNats>>

beforeAll(async () => {
  shared = await sharedNats()
})

afterAll(() => shared.end())

function started(prefix: string, options: NatsBrokerOptions = {}): Promise<NatsBroker> {
  return startedWith({ servers: shared.server.url, prefix, ...options })
}

function dead({ attempts }: Delivery): Verdict {
  const now = Date.now()
  const error = { name: 'Error', message: 'no' }
  return {
    deadLetter: {
      reason: 'failed',
      error,
      handler: 'h',
      attempts: attempts + 1,
      firstFailedAt: now,
      lastFailedAt: now,
    },
  }
}

test('server killed with -9: nothing confirmed is lost, order holds, and everything goes on by itself', async () => {
  const broker = await started('killed')
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  const confirmed: string[] = []
  const publish = async (id: string): Promise<void> => {
    await broker.publish([{ topic: 'orders', message: message(id) }]).then(
      () => confirmed.push(id),
      () => undefined,
    )
  }
  for (let n = 0; n < 50; n++) await publish(`a${n}`)
  await shared.server.kill9()
  const during = publish('during')
  await shared.server.restart()
  await during
  await vi.waitFor(() => broker.ping(), patience)
  for (let n = 0; n < 50; n++) await publish(`b${n}`)
  expect(confirmed.length).toBeGreaterThanOrEqual(100)
  await vi.waitFor(() => expect(new Set(seen)).toEqual(new Set([...confirmed, ...seen])), patience)
  const first = [...new Set(seen)].filter((id) => confirmed.includes(id) && id !== 'during')
  expect(first).toEqual(confirmed.filter((id) => id !== 'during'))
})

test('the same message id within the duplicate window is kept once', async () => {
  const broker = await started('twice')
  const one = { topic: 'orders', message: message('same') }
  await broker.publish([one])
  await broker.publish([one])
  expect((await broker.metrics()).topics).toMatchObject([{ topic: 'orders', depth: 1 }])
})

test('foreign garbage goes to the dead letters as raw bytes, and the consumer goes on', async () => {
  const broker = await started('garbage')
  const seen: string[] = []
  await broker.subscribe(spec(), (delivery) => {
    seen.push(delivery.message.id)
    return { ack: true }
  })
  const plain = await connect({ servers: shared.server.url })
  await plain.request('garbage.t.orders.0', 'no event at all')
  await plain.close()
  await broker.publish([{ topic: 'orders', message: message('good') }])
  await vi.waitFor(async () => expect(await broker.deadLetters.count({ group: 'g' })).toBe(1), patience)
  await vi.waitFor(() => expect(seen).toEqual(['good']), patience)
  const [letter] = await broker.deadLetters.list()
  expect(letter?.failure.reason).toBe('undecodable')
  expect(Buffer.from(letter?.message.body as Uint8Array).toString()).toBe('no event at all')
})

test('streams are made with explicit limits, and the server has them', async () => {
  const options = { maxAge: 3_600_000, maxBytes: 50_000_000, duplicateWindow: 60_000, partitions: 3 }
  const broker = await started('limits', options)
  await broker.publish([order('one')])
  const plain = await connect({ servers: shared.server.url })
  const jsm = await jetstreamManager(plain)
  const [topic, state] = await Promise.all(['limits_t_orders', 'limits_state'].map((name) => jsm.streams.info(name)))
  await plain.close()
  const all = { retention: 'limits', storage: 'file', discard: 'old', num_replicas: 1, max_msgs: -1, max_msg_size: -1 }
  expect(topic?.config).toMatchObject({
    ...all,
    max_age: 3_600e9,
    max_bytes: 50_000_000,
    duplicate_window: 60e9,
    subjects: expect.arrayContaining(['limits.t.orders.0', 'limits.t.orders.1', 'limits.t.orders.2']),
  })
  expect(state?.config).toMatchObject({ ...all, max_age: 0, max_bytes: -1, max_msgs_per_subject: 1 })
  expect(await broker.verify()).toEqual([])
})

test('infinite redelivery: what was given back is counted on the server, whoever gets it next', async () => {
  const counts: string[] = []
  for (let n = 0; n < 3; n++) {
    const broker = await started('again')
    if (n === 0) await broker.publish([order('one')])
    const member = await broker.subscribe(spec(), ({ attempts, redeliveries, firstFailedAt }) => {
      counts.push(`${attempts} ${redeliveries} ${firstFailedAt ?? '-'}`)
      return { redeliver: { after: 0, attempts: attempts + 1, firstFailedAt: 7 } }
    })
    await vi.waitFor(() => expect(counts.length).toBeGreaterThan(n), patience)
    await member.stop()
    await broker.stop()
    expect(counts).toEqual(counts.map((_, index) => `${index} ${index} ${index === 0 ? '-' : 7}`))
  }
})

test('a late ack is harmless: the message is another member’s by then, and settled once', async () => {
  const first = await started('late', { lease: 500 })
  await first.publish([order('one')])
  let settle = (_verdict: Verdict): void => {}
  let late: Delivery | undefined
  await first.subscribe(spec(), (delivery) => {
    late = delivery
    return new Promise((resolve) => {
      settle = resolve
    })
  })
  await vi.waitFor(() => expect(late?.lapsed).toBe(false), patience)
  // Nothing else runs meanwhile, as under a long computation.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
  expect(late?.lapsed).toBe(true)
  const second = await started('late', { lease: 500 })
  settle(dead(late as Delivery))
  const seen: Delivery[] = []
  await second.subscribe(spec(), (delivery) => {
    seen.push(delivery)
    return { ack: true }
  })
  await first.stop({ deadline: 0 })
  await vi.waitFor(() => expect(seen).toHaveLength(1), patience)
  expect(late?.signal.aborted).toBe(true)
  expect(await second.deadLetters.count()).toBe(0)
  await vi.waitFor(async () => expect((await second.metrics()).groups).toMatchObject([{ lag: 0 }]), patience)
})

interface Insides {
  readonly life: {
    readonly running: {
      readonly context: {
        readonly js: { publish: (subject: string, payload?: string, ...more: unknown[]) => Promise<unknown> }
        readonly jsm: { readonly streams: { getMessage: (stream: string, query: object) => Promise<unknown> } }
      }
    }
  }
  readonly members: ReadonlySet<{
    readonly partitions: ReadonlyMap<string, { readonly lost: boolean }>
    readonly roster: { readonly members: ReadonlyMap<string, unknown> }
  }>
}

/** For what a test cannot bring about from outside at the moment that counts. */
function insides(broker: NatsBroker): Insides {
  return broker as unknown as Insides
}

/** `decide` stands between the broker and what it writes of members and leases. */
function intercept(
  broker: NatsBroker,
  decide: (subject: string, publish: () => Promise<unknown>, payload?: string) => Promise<unknown>,
): void {
  const { js } = insides(broker).life.running.context
  const publish = js.publish.bind(js)
  js.publish = (subject, payload, ...more) => decide(subject, () => publish(subject, payload, ...more), payload)
}

/** Nothing else runs meanwhile, as under a long computation. */
function freeze(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

const keys = Array.from({ length: 64 }, (_, n) => `key-${n}`)

/** Of each key one message is handled by somebody. */
async function expectAllHandled(broker: NatsBroker, seen: readonly string[], round: string): Promise<void> {
  const ids = keys.map((key) => `${round} ${key}`)
  await broker.publish(keys.map((key, n) => order(ids[n] as string, { key })))
  await vi.waitFor(() => expect(new Set(seen)).toEqual(new Set([...seen, ...ids])), { timeout: 20_000, interval: 20 })
}

test('a partition whose giving up could not be written is not kept by a member that does not work on it', async () => {
  const seen: string[] = []
  const handler = ({ message: { id } }: Delivery): Verdict => {
    seen.push(id)
    return { ack: true }
  }
  const first = await started('kept', { lease: 4_000 })
  await first.subscribe(spec(), handler)
  await expectAllHandled(first, seen, 'alone')
  let refused = 0
  intercept(first, (subject, publish, payload) => {
    if (!subject.includes('.watch.lease.') || payload !== '' || refused === 4) return publish()
    refused++
    return Promise.reject(new Error('no answer'))
  })
  const second = await started('kept', { lease: 4_000 })
  await second.subscribe(spec(), handler)
  await vi.waitFor(() => expect(refused).toBe(4), patience)
  await expectAllHandled(first, seen, 'together')
})

test('a member that lost its lease for a while shares with one that came meanwhile what it had', async () => {
  const seen: string[] = []
  const handler = ({ message: { id } }: Delivery): Verdict => {
    seen.push(id)
    return { ack: true }
  }
  const first = await started('back', { lease: 500 })
  await first.subscribe(spec(), handler)
  await expectAllHandled(first, seen, 'alone')
  const [member] = insides(first).members
  expect(member?.partitions.size).toBe(8)
  const { promise: back, resolve: comeBack } = Promise.withResolvers<void>()
  intercept(first, async (subject, publish) => {
    if (subject.includes('.watch.member.')) await back
    return publish()
  })
  await vi.waitFor(() => expect(member?.partitions.size).toBe(0), patience)
  const second = await started('back', { lease: 20_000 })
  let announced = false
  intercept(second, async (subject, publish) => {
    const stored = await publish()
    if (subject.includes('.watch.member.') && !announced) {
      announced = true
      await vi.waitFor(() => expect(member?.roster.members.size).toBe(2), patience)
      comeBack()
      await vi.waitFor(() => expect(member?.partitions.size).toBe(4), patience)
    }
    return stored
  })
  await second.subscribe(spec(), handler)
  await expectAllHandled(first, seen, 'together')
})

test('what is read of a partition while it is lost takes no room of what comes later', async () => {
  const crashing = await started('room', { lease: 500 })
  await crashing.publish([order('one')])
  const out = vi.fn<() => Promise<Verdict>>(() => new Promise(() => {}))
  await crashing.subscribe(spec(), out)
  await vi.waitFor(() => expect(out).toHaveBeenCalled(), patience)
  // As if it had been killed: it says nothing, and what it had out is read one by one by the next owner.
  intercept(crashing, () => Promise.reject(new Error('killed')))
  const broker = await started('room', { lease: 500 })
  const { streams } = insides(broker).life.running.context.jsm
  const getMessage = streams.getMessage.bind(streams)
  let lost = 0
  streams.getMessage = async (stream, query) => {
    const stored = await getMessage(stream, query)
    if (stream !== 'room_t_orders' || lost > 0) return stored
    const [member] = insides(broker).members
    const owned = [...(member?.partitions.values() ?? [])]
    freeze(1_000)
    await vi.waitFor(() => expect(owned.every((partition) => partition.lost)).toBe(true), patience)
    lost++
    return stored
  }
  const seen: string[] = []
  await broker.subscribe(spec({ prefetch: 1 }), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await vi.waitFor(() => expect(lost).toBe(1), patience)
  await vi.waitFor(() => expect(seen).toContain('one'), { timeout: 20_000, interval: 20 })
})

test('garbage and messages as large as the server takes are set aside whole, and the consumer goes on', async () => {
  const broker = await started('large')
  const seen: string[] = []
  await broker.subscribe(spec(), (delivery) => {
    const { id, body } = delivery.message
    seen.push(`${id} ${(body as string).length}`)
    return delivery.redeliveries === 0 && id === 'big'
      ? { redeliver: { after: 0, attempts: 1, firstFailedAt: 1 } }
      : id === 'big' && seen.length < 4
        ? dead(delivery)
        : { ack: true }
  })
  const plain = await connect({ servers: shared.server.url })
  const most = plain.info?.max_payload ?? 0
  const garbage = Buffer.alloc(most, 7)
  await jetstream(plain).publish('large.t.orders.0', garbage)
  const event = JSON.stringify({ specversion: '1.0', id: 'big', type: 'T', source: '/x', partitionkey: 'k', data: '' })
  const body = event.replace('""', `"${'x'.repeat(most - event.length - 200)}"`)
  const { headers } = await import('@nats-io/transport-node')
  const set = headers()
  set.append('content-type', 'application/cloudevents+json')
  await jetstream(plain).publish('large.t.orders.0', body, { headers: set })
  await plain.close()
  await vi.waitFor(async () => expect(await broker.deadLetters.count()).toBe(2), patience)
  const letters = await broker.deadLetters.list()
  const read = letters.find(({ failure: { reason } }) => reason === 'undecodable')?.message.body as Uint8Array
  expect(Buffer.compare(read, garbage)).toBe(0)
  await broker.publish([order('small')])
  await vi.waitFor(() => expect(seen.some((one) => one.startsWith('small'))).toBe(true), patience)
  expect(await broker.deadLetters.redrive({ reason: 'failed' })).toBe(1)
  // Redriven it counts anew, so that it is given back once more.
  await vi.waitFor(() => expect(seen.filter((one) => one.startsWith('big'))).toHaveLength(4), patience)
  expect(new Set(seen.filter((one) => one.startsWith('big'))).size).toBe(1)
})

test('a failure that is too long for a header is cut, and its letter kept', async () => {
  const broker = await started('long')
  await broker.subscribe(spec(), (delivery) => {
    const verdict = dead(delivery) as Extract<Verdict, { deadLetter: unknown }>
    const error = { name: 'Error', message: '長'.repeat(20_000), stack: 'at '.repeat(20_000) }
    return { deadLetter: { ...verdict.deadLetter, error } }
  })
  await broker.publish([{ topic: 'orders', message: message('one', { body: JSON.stringify('x'.repeat(999_990)) }) }])
  await vi.waitFor(async () => expect(await broker.deadLetters.count()).toBe(1), patience)
  const [letter] = await broker.deadLetters.list()
  expect(letter?.failure.error.message).toMatch(/^長{100,}$/)
})

test('where one message of a batch cannot be sent, none is, though most are written only when they are sent', async () => {
  const broker = await started('refused')
  await broker.publish([order('first')])
  const own = { correlationId: 'c' }
  const bad: readonly [Parameters<typeof order>[1], RegExp][] = [
    [{ contentType: 'text/plain\r\nce-id: other' }, /header|value|invalid/i],
    [{ time: new Date(Number.NaN) }, /time/i],
    [{ metadata: { ...own, wide: '長'.repeat(120_000) } }, /has \d{7} bytes and nats takes/],
    [{ metadata: { ...own, [`n${'長'.repeat(120_000)}`]: 'x' } }, /has \d{7} bytes and nats takes/],
    [{ subject: '長'.repeat(120_000) }, /has \d{7} bytes and nats takes/],
    [{ body: 'x'.repeat(1_100_000) }, /has 1100000 bytes and nats takes/],
  ]
  for (const [changes, reason] of bad) {
    await expect(broker.publish([order('one'), order('two'), order('bad', changes), order('three')])).rejects.toThrow(
      reason,
    )
  }
  const plain = await connect({ servers: shared.server.url })
  const { state } = await (await jetstreamManager(plain)).streams.info('refused_t_orders')
  await plain.close()
  expect(state.messages).toBe(1)
  // As large as it may be, and beside small ones in the order of the batch.
  const sent = ['a', 'b', 'c', 'd']
  const wide = { metadata: { ...own, wide: '長'.repeat(5_000) } }
  await broker.publish(sent.map((id) => order(id, id === 'b' ? wide : id === 'c' ? { contentType: 'text/plain' } : {})))
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await vi.waitFor(() => expect(seen).toEqual(['first', ...sent]), patience)
})
