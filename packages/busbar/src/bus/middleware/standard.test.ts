import { expect, test } from 'vitest'

import { keepingLogger, memoryBus } from '../fixtures/bus.ts'
import { OrderPlaced, Ticked } from '../fixtures/contracts.ts'
import { standard } from './standard.ts'

test('the order is logging, validation, enrichment, filtering', () => {
  const all = standard({ enrichment: () => {}, filtering: { publish: () => true } })
  expect(all.map((each) => each.name)).toEqual(['logging', 'validation', 'enrichment', 'filtering'])
  expect(standard().map((each) => each.name)).toEqual(['logging', 'validation'])
  expect(standard({ logging: false, validation: false })).toEqual([])
})

test('filtering sees what enrichment added, enrichment sees only what is valid, and logging sees it all', async () => {
  const logger = keepingLogger()
  const enriched: string[] = []
  await using bus = await memoryBus({
    middleware: standard({
      logging: { logger },
      enrichment: (message) => {
        enriched.push(message.type)
        return { metadata: { tenantId: message.type === 'Ticked' ? 'blocked' : 'fine' } }
      },
      filtering: { publish: (message) => message.metadata.tenantId !== 'blocked' },
    }),
  })
  const seen: string[] = []
  await bus.subscribe('*', (event) => void seen.push(event.type), { topic: 'events' })
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.publish(OrderPlaced.create({ orderId: 'o-1' }))
  await expect(bus.publish(OrderPlaced.create({ orderId: 1 as never }))).rejects.toThrow('invalid')
  await bus.idle()
  expect(seen).toEqual(['order.placed'])
  expect(enriched).toEqual(['Ticked', 'order.placed'])
  expect(logger.lines.filter((line) => line.level === 'warn').map((line) => line.text)).toEqual([
    'order.placed could not be published',
  ])
})
