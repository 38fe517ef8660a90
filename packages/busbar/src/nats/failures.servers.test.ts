/** Bad input and trouble, over servers of this test's own. */
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { expect, test, vi } from 'vitest'
import { kinds } from '../../../../script/servers/kinds.ts'
import { type OwnServer, startServerOf } from '../../../../script/servers/start.ts'
import { PublishError } from '../broker/index.ts'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { brokerWith, message, order, patience, refusal, silent, spec, started } from './fixtures/messages.ts'
import { scratchFolder, startNats, startProxy } from './fixtures/servers.ts'
import { NatsBroker } from './index.ts'

/** Another version of the server, as far as it says. */
function pretending(version: string): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const text = bytes.toString('latin1')
    if (!text.includes('INFO {')) return bytes
    const change = (all: string, real: string): string =>
      version.length <= real.length
        ? all.replace(`"${real}"`, `"${version}"${' '.repeat(real.length - version.length)}`)
        : all
    return Buffer.from(text.replace(/"version":"([^"]+)"/, change), 'latin1')
  }
}

async function withManager<T>(
  server: OwnServer,
  use: (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>,
): Promise<T> {
  const nc = await connect({ servers: server.url })
  try {
    return await use(await jetstreamManager(nc))
  } finally {
    await nc.close()
  }
}

async function failureOf(publishing: Promise<void>): Promise<Error> {
  const error = await publishing.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(PublishError)
  return (error as PublishError).failed[0]?.error as Error
}

test('an unknown host is tried until the time is up, and the error names the settings', async () => {
  const { name, message: text } = await refusal({ servers: 'nats://no-such-host.invalid', connectTimeout: 300 })
  expect(name).toBe('BrokerError')
  expect(text).toMatch(/no-such-host\.invalid.*'connectTimeout'.*'servers'/)
})

test('a server that is away at the start only delays it', async () => {
  const server = await startNats('')
  await server.stop()
  const broker = brokerWith({ servers: server.url, requestTimeout: 500 })
  const starting = broker.start()
  await server.restart()
  await starting
  await broker.publish([order('one')])
  expect((await broker.metrics()).topics).toMatchObject([{ depth: 1 }])
})

test('a server of a version that cannot do it is refused with the version that can', async () => {
  const { url } = await startProxy((await startNats('')).url, pretending('2.9.1'))
  const { name, message: text } = await refusal({ servers: url })
  expect(name).toBe('ConfigurationError')
  expect(text).toMatch(/2\.9\.1 is too old.*2\.10/)
})

test('a server that cannot schedule has everything but delay, and says so', async () => {
  const { url } = await startProxy((await startNats('')).url, pretending('2.11.9'))
  const broker = await started({ servers: url })
  expect(broker.capabilities.delay).toBe(false)
  await expect(broker.publish([{ ...order('later'), deliverAt: Date.now() + 60_000 }])).rejects.toThrow(
    /2\.11\.9.*2\.12/,
  )
  await broker.publish([order('now')])
  expect((await broker.metrics()).topics).toMatchObject([{ topic: 'orders', depth: 1 }])
  expect(await broker.verify()).toEqual([])
})

test('a topic that an older server made is told as one that cannot delay', async () => {
  const server = await startNats('')
  const { url } = await startProxy(server.url, pretending('2.11.9'))
  await (await started({ servers: url })).publish([order('one')])
  const broker = await started({ servers: server.url })
  const publishing = broker.publish([{ ...order('later'), deliverAt: Date.now() + 60_000 }])
  await expect(publishing).rejects.toThrow(/busbar_t_orders.*'allow_msg_schedules'/)
  expect((await broker.verify()).map(({ setting }) => setting)).toContain('allow_msg_schedules')
})

test('a server without JetStream, and an account that may not use it, are told', async () => {
  const dataDir = await scratchFolder()
  const { nats } = kinds
  const plain = await startServerOf(
    {
      ...nats,
      prepare: ({ folder, ports }) =>
        writeFile(join(folder, 'nats.conf'), `host: "127.0.0.1"\nport: ${ports['main']}\n`),
      answers: (url) => connect({ servers: url, reconnect: false }).then((nc) => nc.close()),
    },
    { dataDir },
  )
  const { message: text } = await refusal({ servers: plain.url })
  await plain.stop()
  expect(text).toMatch(/without JetStream/)
  const { url } = await startNats('accounts { A { users: [{ user: me, password: p }] } }')
  const { message: account } = await refusal({ servers: url.replace('//', '//me:p@') })
  expect(account).toMatch(/JetStream is not enabled for this account/)
})

test('a permission that is missing is named, at the start and at a publish', async () => {
  const { url } = await startNats(`authorization { users: [
    { user: me, password: p },
    { user: reader, password: p, permissions: { publish: ["$JS.API.INFO"], subscribe: ["_INBOX.>"] } },
    { user: mute, password: p, permissions: { publish: { deny: ["busbar.t.secret.>"] } } } ] }`)
  const as = (user: string): string => url.replace('//', `//${user}:p@`)
  const { message: text } = await refusal({ servers: as('reader') })
  expect(text).toMatch(/may not publish to '\$JS\.API\.STREAM\.CREATE.*permissions/)
  const mute = await started({ servers: as('mute') })
  await mute.publish([order('one')])
  const error = await failureOf(mute.publish([{ topic: 'secret', message: message('two') }]))
  expect(error.message).toMatch(/may not publish to 'busbar\.t\.secret\..*permissions/)
})

test('a stream with settings that break promises is refused by their names; other settings are told by verify', async () => {
  const server = await startNats('')
  const subjects = ['busbar.t.orders.0', 'busbar.t.orders.1']
  const metadata = { 'busbar.partitions': '2' }
  await withManager(server, (jsm) =>
    jsm.streams.add({ name: 'busbar_t_orders', subjects, retention: 'workqueue', metadata }),
  )
  const broker = await started({ servers: server.url })
  await expect(broker.publish([order('one')])).rejects.toThrow(/busbar_t_orders.*'retention' is "workqueue".*'prefix'/)
  await broker.publish([{ topic: 'other', message: message('two') }])
  const change = { max_age: 300e9, max_msg_size: 500_000 }
  await withManager(server, async (jsm) => {
    await jsm.streams.delete('busbar_t_orders')
    await jsm.streams.update('busbar_t_other', change)
  })
  expect(await broker.verify()).toEqual([
    { stream: 'busbar_t_other', setting: 'max_msg_size', expected: -1, found: 500_000 },
    { stream: 'busbar_t_other', setting: 'max_age', expected: 7 * 24 * 3_600e9, found: 300e9 },
  ])
  await (await started({ servers: server.url })).publish([{ topic: 'other', message: message('three') }])
})

test('a stream that another program made, or whose subjects it takes, is told', async () => {
  const server = await startNats('')
  await withManager(server, async (jsm) => {
    await jsm.streams.add({ name: 'mine', subjects: ['taken.>'] })
    await jsm.streams.add({ name: 'other_state', subjects: ['something'] })
    await jsm.streams.add({ name: 'busbar_t_orders', subjects: ['busbar.t.orders.*'] })
  })
  const broker = await started({ servers: server.url })
  await expect(broker.publish([order('one')])).rejects.toThrow(/busbar_t_orders.*'busbar\.partitions'/)
  expect((await refusal({ servers: server.url, prefix: 'taken' })).message).toMatch(/below 'taken\.'.*'prefix'/)
  expect((await refusal({ servers: server.url, prefix: 'other' })).message).toMatch(/other_state.*'subjects'/)
})

test('more replicas than there are servers are refused by the name of the option', async () => {
  const { url } = await startNats('')
  expect((await refusal({ servers: url, replicas: 3 })).message).toMatch(/'replicas'/)
})

test('a message over the limit is refused before it is sent, and so is a limit that the server cannot keep', async () => {
  const server = await startNats('')
  const broker = await started({ servers: server.url, maxMessageBytes: 1_000 })
  const big = order('big', { body: JSON.stringify('x'.repeat(1_000)) })
  await expect(broker.publish([order('small'), big])).rejects.toThrow(/big \(T\) has 1002 bytes and nats takes 1000/)
  expect((await broker.metrics()).topics).toMatchObject([{ topic: 'orders', depth: 0 }])
  const { name, message: text } = await refusal({ servers: server.url, maxMessageBytes: 1_048_576 })
  expect(name).toBe('ConfigurationError')
  expect(text).toMatch(/'maxMessageBytes' is 1048576.*max_payload of 1048576/)
})

test('a stream that refuses a message is told at once, and what it has confirmed stays', async () => {
  const server = await startNats('')
  const broker = await started({ servers: server.url })
  await broker.publish([order('one')])
  await withManager(server, (jsm) => jsm.streams.update('busbar_t_orders', { max_msg_size: 10 }))
  expect((await failureOf(broker.publish([order('two')]))).message).toMatch(/message size exceeds maximum allowed/)
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await vi.waitFor(() => expect(seen).toEqual(['one']), patience)
})

test('a publish while the server cannot be reached is confirmed when it is back, once and in order', async () => {
  const proxy = await startProxy((await startNats('')).url)
  const broker = await started({ servers: proxy.url })
  const seen: string[] = []
  await broker.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await broker.publish([order('first')])
  const batch = Array.from({ length: 2_000 }, (_, n) => order(`during-${n}`))
  const during = broker.publish(batch)
  proxy.cut()
  const after = broker.publish([order('after')])
  proxy.pass()
  await Promise.all([during, after])
  const ids = ['first', ...batch.map(({ message: { id } }) => id), 'after']
  await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(ids.length), patience)
  expect([...new Set(seen)]).toEqual(ids)
  expect((await broker.metrics()).topics).toMatchObject([{ topic: 'orders', depth: ids.length }])
})

test('what cannot be confirmed in time is told, and a stop does not wait for it', async () => {
  const proxy = await startProxy((await startNats('')).url)
  const broker = await started({ servers: proxy.url, publishTimeout: 500 })
  await broker.publish([order('one')])
  proxy.cut()
  expect((await failureOf(broker.publish([order('two')]))).message).toMatch(/500 ms \('publishTimeout'\)/)
  const patient = new NatsBroker({ servers: proxy.url, logger: silent })
  proxy.pass()
  await patient.start()
  await patient.publish([order('three')])
  proxy.cut()
  const failed = failureOf(patient.publish([order('four')]))
  await patient.stop({ deadline: 50 })
  expect((await failed).message).toMatch(/was stopped/)
})
