/** A server that says nothing, or is gone in the middle of a question: nobody may wait for it for ever. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import type { Verdict } from '../broker/index.ts'
import { Link } from './connection.ts'
import { type RabbitContext, withChannel } from './context.ts'
import { DelayedQueue } from './delayed.ts'
import { order, orders, patience, silent, spec, started } from './fixtures/messages.ts'
import { type OwnRabbit, plainChannel, startProxy, startRabbit } from './fixtures/servers.ts'
import { Names } from './names.ts'
import { complete } from './options.ts'
import type { Sender } from './sender.ts'
import { Vigil } from './vigil.ts'

let server: OwnRabbit

beforeAll(async () => {
  server = await startRabbit()
}, 180_000)

afterAll(() => server.end(), 60_000)

async function contextAt(url: string, prefix: string, heartbeat: number): Promise<RabbitContext> {
  const settings = complete({ url, prefix, heartbeat })
  const consuming = new Link(settings, 'test', silent)
  await consuming.open()
  onTestFinished(() => consuming.close())
  return { settings, names: new Names(prefix), logger: silent, consuming, sender: {} as Sender }
}

test('a connection that ends before the server has agreed to the end of a channel holds nobody up', async () => {
  const proxy = await startProxy(server.url)
  const context = await contextAt(proxy.url, 'agree', 60)
  const done = withChannel(context, 'do something', async () => {
    // From here the question whether the channel may be closed is on its way, and the answer never comes.
    proxy.mute()
    return 'done'
  })
  await vi.waitFor(() => expect(context.consuming.isUp).toBe(true), patience)
  setTimeout(() => proxy.cut(), 50)
  await expect(done).resolves.toBe('done')
})

test('a server that does not agree to the end of a channel, on a connection that lives, holds nobody up', async () => {
  const proxy = await startProxy(server.url)
  const context = await contextAt(proxy.url, 'silent', 60)
  const done = withChannel(context, 'do something', async () => {
    proxy.mute()
    return 'done'
  })
  await expect(done).resolves.toBe('done')
})

test('a doubt whether others have our messages ends where the connection breaks instead of answering', async () => {
  const proxy = await startProxy(server.url)
  const context = await contextAt(proxy.url, 'doubt', 1)
  const vigil = new Vigil(context)
  onTestFinished(() => vigil.end())
  const opened: unknown[] = []
  const { consuming } = context
  const channel = consuming.channel.bind(consuming)
  // The channel that asks is opened, and its end is not agreed to.
  vi.spyOn(consuming, 'channel').mockImplementation(async () => {
    const asked = await channel()
    proxy.mute()
    opened.push(asked)
    return asked
  })
  const until = performance.now() + 800
  while (performance.now() < until);
  expect(vigil.doubtful).toBe(true)
  await vi.waitFor(() => expect(opened).toHaveLength(1), patience)
  proxy.cut()
  proxy.pass()
  await vi.waitFor(() => expect(vigil.doubtful).toBe(false), patience)
})

test('a queue of delayed messages that could not be consumed has one consumer afterwards, and none after a stop', async () => {
  const refusals: string[] = []
  const logger = { ...silent, error: (_: object, text: string) => void refusals.push(text) }
  const context = { ...(await contextAt(server.url, 'twice', 10)), logger }
  const later = new DelayedQueue(context, 'twice:later')
  onTestFinished(() => later.stop())
  await later.start()
  await vi.waitFor(() => expect(refusals.length).toBeGreaterThanOrEqual(4), patience)
  const plain = await plainChannel(server.url)
  await plain.assertQueue('twice:later', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  const consumers = async (): Promise<number> => (await plain.checkQueue('twice:later')).consumerCount
  await vi.waitFor(async () => expect(await consumers()).toBeGreaterThan(0), patience)
  // Those who would still be on their way have come by the time that the longest pause is over.
  await sleep(2_500)
  expect(await consumers()).toBe(1)
  await later.stop()
  await vi.waitFor(async () => expect(await consumers()).toBe(0), patience)
})

test('a server that lives and says nothing does not hold up a stop, with a message in the handler and its place to be stored', async () => {
  const proxy = await startProxy(server.url)
  const broker = await started({ url: proxy.url, prefix: 'stop', heartbeat: 600 })
  let running = 0
  await broker.subscribe(spec(), () => {
    running++
    return new Promise<Verdict>(() => {})
  })
  await broker.publish([order('one')])
  await vi.waitFor(() => expect(running).toBe(1), patience)
  proxy.mute()
  const began = performance.now()
  await broker.stop({ deadline: 500 })
  expect(performance.now() - began).toBeLessThan(15_000)
}, 120_000)

test('a register of begun runs that answers nothing, because it has no leader, is made anew: its partition goes on', async () => {
  const proxy = await startProxy(server.url)
  const options = { prefix: 'leaderless', partitions: 1 }
  const before = await started({ ...options, url: proxy.url })
  let stored = 0
  await before.subscribe(spec(), async (delivery) => {
    await delivery.began(1)
    stored++
    return new Promise<Verdict>(() => {})
  })
  await before.publish(orders(3))
  await vi.waitFor(() => expect(stored).toBe(3), patience)
  // As the server leaves a queue that was only just being made when it was killed: there, and waiting for nothing.
  await server.ctl('eval', `sys:suspend('%2F_leaderless:orders:g:0:marks').`)
  proxy.cut()
  const after = await started({ ...options, url: server.url })
  const seen: string[] = []
  await after.subscribe(spec(), ({ message: { id } }) => {
    seen.push(id)
    return { ack: true }
  })
  await vi.waitFor(() => expect(seen).toEqual(['a0', 'a1', 'a2']), { timeout: 120_000, interval: 50 })
}, 180_000)
