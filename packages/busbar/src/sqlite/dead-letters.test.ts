import { expect, test } from 'vitest'
import type { Delivery, Verdict } from '../broker/index.ts'
import {
  ack,
  collect,
  dead,
  eventually,
  numbered,
  outgoing,
  scratchFile,
  started,
  textOf,
  TOPIC,
} from './fixtures/scratch.ts'

test('a dead letter holds the whole message, bytes too, and where it came from', async () => {
  const broker = await started({ file: scratchFile() })
  const body = Uint8Array.of(0, 255, 128, 10)
  const one = outgoing({
    key: 'k',
    subject: 'order-1',
    body,
    contentType: 'application/octet-stream',
    priority: 'high',
    revision: 3,
  })
  await broker.publish([one])
  await collect(broker, {}, (delivery) => dead(delivery, 77))
  await eventually(async () => (await broker.deadLetters.count()) === 1, 'the dead letter')
  const [letter] = await broker.deadLetters.list()
  expect(letter?.message).toEqual(one.message)
  expect(letter).toMatchObject({ group: 'billing', topic: TOPIC, redeliveries: 0 })
  expect(letter?.position).toMatch(/^\d+@1$/)
  expect(letter?.failure).toEqual({
    reason: 'failed',
    error: { name: 'TypeError', message: 'no such order', stack: 'TypeError: no such order\n    at test' },
    handler: 'bill',
    attempts: 1,
    firstFailedAt: 77,
    lastFailedAt: 77,
  })
  expect(await broker.deadLetters.get(letter?.id ?? '')).toEqual(letter)
  expect(await broker.deadLetters.get('1; DROP TABLE busbar_set_aside')).toBeUndefined()
})

test('a redrive reaches the failed group alone, once, though two brokers redrive at once', async () => {
  const file = scratchFile()
  const [broker, other] = [await started({ file }), await started({ file })]
  await broker.publish(numbered(20, 4))
  let broken = true
  const failing = await collect(broker, { group: 'failing' }, (delivery) => (broken ? dead(delivery) : ack))
  const fine = await collect(broker, { group: 'fine' })
  await eventually(async () => (await broker.deadLetters.count()) === 20, '20 dead letters')
  broken = false
  const counts = await Promise.all([
    broker.deadLetters.redrive({ group: 'failing' }),
    other.deadLetters.redrive({ group: 'failing' }),
  ])
  expect(counts[0] + counts[1]).toBe(20)
  await eventually(() => failing.deliveries.length === 40, 'all of them again')
  for (const delivery of failing.deliveries.slice(20)) expect(delivery).toMatchObject({ attempts: 0, redeliveries: 0 })
  expect(new Set(failing.deliveries.map((one) => one.message.id)).size).toBe(20)
  await eventually(
    async () => (await broker.metrics()).groups.every(({ lag, dead: kept }) => lag === 0 && kept === 0),
    'no lag',
  )
  expect(fine.deliveries.length).toBe(20)
  expect(failing.deliveries.length).toBe(40)
})

test('an edited redrive keeps the id; an edit that throws changes nothing', async () => {
  const broker = await started({ file: scratchFile() })
  await broker.publish([outgoing({ body: 'wrong' })])
  const member = await collect(broker, {}, (delivery) => (delivery.message.body === 'wrong' ? dead(delivery) : ack))
  await eventually(async () => (await broker.deadLetters.count()) === 1, 'the dead letter')
  const refuse = (): never => {
    throw new Error('cannot be mended')
  }
  await expect(broker.deadLetters.redrive({}, refuse)).rejects.toThrow('cannot be mended')
  expect(await broker.deadLetters.count()).toBe(1)
  await broker.deadLetters.redrive({}, (letter) => ({ ...letter.message, id: 'another', body: 'right' }))
  await eventually(() => member.deliveries.length === 2, 'the edited one')
  expect(member.bodies).toEqual(['wrong', 'right'])
  expect(member.deliveries[1]?.message.id).toBe(member.deliveries[0]?.message.id)
})

test('parking: later messages of a failed key wait, in order, until it is redriven; other keys go on', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  let broken = true
  const handled: string[] = []
  const handle = async (delivery: Delivery): Promise<Verdict> => {
    const { key } = delivery.message
    const body = textOf(delivery)
    if (broken && key === 'k0' && body === '2') return dead(delivery)
    handled.push(`${key} ${body}`)
    return ack
  }
  const member = await collect(broker, { onFailure: 'park' }, handle)
  await broker.publish(numbered(30, 3))
  await eventually(async () => (await broker.metrics()).groups[0]?.parked === 7, '7 parked')
  await eventually(() => handled.length === 22, 'the other keys')
  const letters = await broker.deadLetters.list()
  expect(letters.map((one) => one.failure.reason).toSorted()).toEqual([
    'failed',
    ...Array.from({ length: 7 }, () => 'parked'),
  ])
  expect(await broker.deadLetters.redrive({ reason: 'parked' })).toBe(0)
  // What is parked survives a restart, and what comes later still queues up behind it.
  await member.stop()
  const other = await started({ file })
  await collect(other, { onFailure: 'park' }, handle)
  await other.publish(numbered(3, 3).map((one) => ({ ...one, message: { ...one.message, body: '10' } })))
  await eventually(async () => (await other.metrics()).groups[0]?.parked === 8, '8 parked')
  broken = false
  expect(await broker.deadLetters.redrive({ reason: 'failed' })).toBe(1)
  await eventually(() => handled.length === 33, 'all handled')
  expect(handled.filter((one) => one.startsWith('k0'))).toEqual(Array.from({ length: 11 }, (_, n) => `k0 ${n}`))
  await other.publish([outgoing({ key: 'k0', body: '11' })])
  await eventually(() => handled.at(-1) === 'k0 11', 'the key goes on as before')
  expect(await broker.deadLetters.count()).toBe(0)
})

test('parking: a discard by another broker lets the next one go, and the key does not stay blocked', async () => {
  const file = scratchFile()
  const [broker, other] = [await started({ file }), await started({ file })]
  const handled: string[] = []
  await collect(broker, { onFailure: 'park' }, (delivery) => {
    const body = textOf(delivery)
    if (body === '0') return dead(delivery)
    handled.push(body)
    return ack
  })
  await broker.publish(numbered(1, 1))
  await eventually(async () => (await other.deadLetters.count()) === 1, 'the dead letter')
  // Nothing is parked behind it: the owner still believes that the key is blocked.
  expect(await other.deadLetters.discard({ reason: 'failed' })).toBe(1)
  await other.publish([outgoing({ key: 'k0', body: '1' }), outgoing({ key: 'k0', body: '2' })])
  await eventually(() => handled.length === 2, 'the key to go on')
  expect(handled).toEqual(['1', '2'])
})

test('parking: a failed redelivery keeps those behind it waiting, and a kill of the member loses no order', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  const runs: string[] = []
  let failures = 3
  await collect(broker, { onFailure: 'park', prefetch: 3 }, (delivery) => {
    const body = textOf(delivery)
    runs.push(body)
    if (body !== '0' || failures-- <= 0) return ack
    return { redeliver: { after: 5, attempts: delivery.attempts + 1, firstFailedAt: 1 } }
  })
  await broker.publish(numbered(6, 1))
  await eventually(() => runs.length === 9, 'all six')
  expect(runs).toEqual(['0', '0', '0', '0', '1', '2', '3', '4', '5'])
})

test('a broadcast member that dead-letters gets its redrive itself', async () => {
  const broker = await started({ file: scratchFile() })
  let broken = true
  const member = await collect(broker, { group: 'screens', broadcast: true }, (delivery) =>
    broken ? dead(delivery) : ack,
  )
  await broker.publish([outgoing({ body: 'a' }), outgoing({ body: 'b' })])
  await eventually(async () => (await broker.deadLetters.count({ group: 'screens' })) === 2, 'two dead letters')
  broken = false
  expect(await broker.deadLetters.redrive({ group: 'screens' })).toBe(2)
  await eventually(() => member.deliveries.length === 4, 'both again')
  expect(await broker.deadLetters.count()).toBe(0)
})

test('letters can be paged through and summed up while they are redriven', async () => {
  const broker = await started({ file: scratchFile() })
  await broker.publish(numbered(25, 5))
  await collect(broker, {}, (delivery) => dead(delivery))
  await eventually(async () => (await broker.deadLetters.count()) === 25, '25 dead letters')
  const ids: string[] = []
  for (let after: string | undefined; ;) {
    const page = await broker.deadLetters.list({}, { limit: 10, ...(after === undefined ? {} : { after }) })
    ids.push(...page.map((letter) => letter.id))
    after = page.at(-1)?.id
    if (page.length === 0) break
    await broker.deadLetters.discard([page.at(-1)?.id ?? ''])
  }
  expect(new Set(ids).size).toBe(25)
  const [summary, ...rest] = await broker.deadLetters.summarize({ key: 'k0' })
  expect(rest).toEqual([])
  expect(summary).toMatchObject({ group: 'billing', errorName: 'TypeError', handler: 'bill', reason: 'failed' })
  expect(summary?.count).toBeLessThanOrEqual(5)
})
