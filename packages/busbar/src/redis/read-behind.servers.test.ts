/** What this process publishes reaches its own members a round trip earlier: they read behind the append. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ack, batch, collector, Scene, spec, until } from './fixtures/brokers.ts'

let scene: Scene

beforeEach(() => {
  scene = new Scene(process.env['BUSBAR_REDIS_URL'])
})

afterEach(() => scene.end())

/** Watches which connection appended last, and which has read since then. */
async function sources(): Promise<{ append: string; read: string }> {
  const monitor = await scene.admin.duplicate().monitor()
  scene.atEnd(() => monitor.disconnect())
  const last = { append: '', read: '' }
  monitor.on('monitor', (_time: string, args: readonly string[], source: string) => {
    if (!args.some((arg) => arg.includes(scene.prefix)) || source === 'lua') return
    if (args.includes('specversion')) Object.assign(last, { append: source, read: '' })
    if (args[0]?.toLowerCase() === 'xreadgroup') last.read = source
  })
  return last
}

test('what is published in the same process is read behind its append, over the same connection', async () => {
  const broker = await scene.streams({ partitions: 1 })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  const last = await sources()
  await until(async () => {
    // Nothing is under way any more: a turn that is goes first.
    await broker.metrics()
    const before = seen.length
    await broker.publish(batch(1, 'k', before))
    await until(() => seen.length === before + 1)
    return last.read !== '' && last.read === last.append
  })
  expect(seen.map((one) => one.message.body)).toEqual(seen.map((_, n) => String(n)))
})

test('what a handler publishes is read behind its append, too', async () => {
  const broker = await scene.streams({ partitions: 1 })
  const last = await sources()
  const bodies: unknown[] = []
  let behind = 0
  await broker.subscribe(spec(), ({ message: { body } }) => {
    if (bodies.length > 0 && last.read !== '' && last.read === last.append) behind++
    bodies.push(body)
    if (behind < 10) void broker.publish(batch(1, 'k', bodies.length))
    return ack
  })
  await broker.publish(batch(1, 'k', 0))
  await until(() => behind === 10)
  expect(bodies).toEqual(bodies.map((_, n) => String(n)))
})
