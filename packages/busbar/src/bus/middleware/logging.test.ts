import { expect, test } from 'vitest'

import { keepingLogger, memoryBus } from '../fixtures/bus.ts'
import { OrderPlaced, Ticked } from '../fixtures/contracts.ts'
import { logging } from './logging.ts'

test('says what was published and what was handled, with ids and times', async () => {
  const logger = keepingLogger()
  await using bus = await memoryBus({ middleware: [logging({ logger })] })
  await bus.subscribe(Ticked, function tick() {}, { group: 'g' })
  const message = Ticked.create({ n: 1 })
  await bus.publish(message)
  await bus.idle()
  const fields = { type: 'Ticked', messageId: message.id, correlationId: message.id, ms: expect.any(Number) }
  expect(logger.lines.toSorted((a, b) => b.text.localeCompare(a.text))).toEqual([
    { level: 'info', text: 'Ticked published', fields },
    {
      level: 'info',
      text: "Ticked handled by 'tick' in group 'g'",
      fields: { ...fields, group: 'g', handler: 'tick', attempt: 1 },
    },
  ])
})

test('a failure is a warning on either side, and goes on as a failure', async () => {
  const logger = keepingLogger()
  await using bus = await memoryBus({ middleware: [logging({ logger, level: 'debug' })] })
  await expect(bus.publish(OrderPlaced.create({ orderId: 1 as never }))).rejects.toThrow('invalid data')
  await bus.subscribe(Ticked, () => {
    throw new TypeError('no luck, password=hunter2')
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  const warnings = logger.lines.filter((line) => line.level === 'warn')
  expect(warnings.map((line) => line.text)).toEqual([
    'order.placed could not be published',
    "Ticked failed in 'Ticked' of group 'app.Ticked', attempt 1",
  ])
  expect(warnings[1]?.fields.error).toEqual({ name: 'TypeError', message: 'no luck, password=***' })
  expect(await bus.deadLetters.count()).toBe(1)
})

test('never logs data, key or subject', async () => {
  const logger = keepingLogger()
  await using bus = await memoryBus({ middleware: [logging({ logger })] })
  await bus.subscribe(OrderPlaced, () => {})
  await bus.publish(OrderPlaced.create({ orderId: 'ada@example.org', total: 4711 }))
  await bus.idle()
  expect(logger.lines).toHaveLength(2)
  expect(JSON.stringify(logger.lines)).not.toMatch(/ada@example|4711/)
})
