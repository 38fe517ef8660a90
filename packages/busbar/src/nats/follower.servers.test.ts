/** Following a stream, over a server of this test's own. */
import { expect, test, vi } from 'vitest'
import type { NatsBroker } from './broker.ts'
import type { NatsContext } from './context.ts'
import { started } from './fixtures/messages.ts'
import { startNats } from './fixtures/servers.ts'
import { Follower, scan } from './follower.ts'

test('what was there is read, also where some of it is deleted before it comes', async () => {
  const broker = await started({ servers: (await startNats('')).url })
  const context = contextOf(broker)
  const { js, jsm, names } = context
  const subjects = Array.from({ length: 20 }, (_, n) => names.asideEntry('g', 'orders', 0, `e${n}`))
  for (const subject of subjects) await js.publish(subject, 'one')
  const seen: string[] = []
  const follower = await Follower.open(
    context,
    { stream: names.aside, filter: names.asidesOf('g'), from: 'latest-of-each', ahead: 2 },
    async ({ subject }) => {
      seen.push(subject)
      if (seen.length === 1) await jsm.streams.purge(names.aside)
    },
  )
  try {
    await follower.ready()
    expect(seen.length).toBeLessThan(subjects.length)
    expect(seen).toEqual(subjects.slice(0, seen.length))
    // It follows what comes then.
    await js.publish(subjects[19] as string, 'two')
    await expect.poll(() => seen.at(-1), { timeout: 60_000 }).toBe(subjects[19])
  } finally {
    await follower.close()
  }
})

test('a scan does not wait for what is deleted before it comes', async () => {
  const context = contextOf(await started({ servers: (await startNats('')).url }))
  const { js, jsm, names } = context
  for (let n = 0; n < 20; n++) await js.publish(names.asideEntry('g', 'orders', 0, `e${n}`), 'one')
  const get = js.consumers.get.bind(js.consumers)
  const spy = vi.spyOn(js.consumers, 'get').mockImplementation(async (...where) => {
    const consumer = await get(...where)
    const info = consumer.info.bind(consumer)
    // Between the count of what is there and the reading of it.
    vi.spyOn(consumer, 'info').mockImplementationOnce(async (cached) => {
      const found = await info(cached)
      expect(found.num_pending).toBe(20)
      await jsm.streams.purge(names.aside)
      return found
    })
    return consumer
  })
  const seen: string[] = []
  await scan(context, { stream: names.aside, filter: names.asidesOf('g') }, ({ subject }) => void seen.push(subject))
  expect(seen).toEqual([])
  expect(spy).toHaveBeenCalledOnce()
})

test('a scan ends with an error where the connection is closed before all is read', async () => {
  const context = contextOf(await started({ servers: (await startNats('')).url }))
  const { js, names, nc } = context
  const subjects = Array.from({ length: 500 }, (_, n) => names.asideEntry('g', 'orders', 0, `e${n}`))
  await Promise.all(subjects.map((subject) => js.publish(subject, 'one')))
  let seen = 0
  const reading = scan(context, { stream: names.aside, filter: names.asidesOf('g') }, () => {
    if (++seen === 1) void nc.close()
  })
  await expect(reading).rejects.toThrow('was stopped while it read')
  expect(seen).toBeLessThan(subjects.length)
})

test('a scan ends with the error of whoever looks, and with what comes next unread', async () => {
  const context = contextOf(await started({ servers: (await startNats('')).url }))
  const { js, names } = context
  for (let n = 0; n < 3; n++) await js.publish(names.asideEntry('g', 'orders', 0, `e${n}`), 'one')
  let seen = 0
  const reading = scan(context, { stream: names.aside, filter: names.asidesOf('g') }, () => {
    seen++
    throw new Error('cannot be read')
  })
  await expect(reading).rejects.toThrow('cannot be read')
  expect(seen).toBe(1)
})

function contextOf(broker: NatsBroker): NatsContext {
  return (broker as unknown as { readonly life: { readonly running: { readonly context: NatsContext } } }).life.running
    .context
}
