import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { definitionOf, definitionOfMessage } from './contract.ts'
import { DomainEvent } from './domain-event.ts'
import { ConfigurationError } from './errors.ts'
import { open } from './inbound.ts'
import { JsonCodec } from './json-codec.ts'
import { EventPriority } from './message.ts'
import type { Message, Metadata } from './message.ts'
import { prepare } from './outbound.ts'

class OrderPlaced extends DomainEvent<{ orderId: string; cents: number }> {
  static readonly type = 'order.placed'
  static readonly version = 2
  static readonly topic = 'orders'
  static readonly priority = 'high'
  static readonly schema = z.object({ orderId: z.string(), cents: z.number() })
  static readonly upcast = { 1: (old: { orderId: string }) => ({ ...old, cents: 0 }) }
  static readonly subject = (data: { orderId: string }): string => data.orderId

  get total(): number {
    return this.data.cents / 100
  }
}

class OrderCreatedEvent extends DomainEvent<{ total: number }> {
  override readonly eventType = 'OrderCreated'
  override version = 2
  override topic = 'orders'
  override priority = EventPriority.HIGH

  constructor(aggregateId: string, payload: { total: number }, metadata?: Partial<Metadata>) {
    super(payload, metadata, { subject: aggregateId, revision: 4 })
  }

  get doubled(): number {
    return this.payload.total * 2
  }
}

/** As a compiler below ES2022 writes the class: fields are assigned after super, not defined. */
class AssignedFields extends DomainEvent<{ total: number }> {
  constructor(payload: { total: number }) {
    super(payload)
    const self = this as { -readonly [K in keyof AssignedFields]: AssignedFields[K] }
    self.eventType = 'Assigned'
    self.version = 3
    self.topic = 'legacy'
    self.priority = 'low'
  }
}

const codec = new JsonCodec()

function throughWire<E extends DomainEvent>(event: E): E {
  const definition = definitionOfMessage(event)
  const encoded = prepare(event, definition, { codec, inProcess: false, maxBytes: 10_000 })
  if (encoded instanceof Promise) throw new Error('the schema is synchronous')
  return open(encoded, definition, codec) as unknown as E
}

describe('declared by the class', () => {
  test('an instance is a message', () => {
    const event: Message<{ orderId: string }> = new OrderPlaced({ orderId: 'o-1', cents: 250 }, { userId: 'u-1' })
    expect(event).toMatchObject({ kind: 'event', source: '', subject: 'o-1', key: 'o-1' })
    expect([event.type, event.version, event.priority]).toEqual(['order.placed', 2, 'high'])
    expect(event.metadata).toEqual({ correlationId: event.id, userId: 'u-1' })
  })

  test('its definition is that of the class', () => {
    const definition = definitionOf(OrderPlaced)
    expect(definition).toMatchObject({
      kind: 'event',
      type: 'order.placed',
      version: 2,
      topic: 'orders',
      priority: 'high',
    })
    expect(definitionOf(OrderPlaced)).toBe(definition)
    expect(definitionOfMessage(new OrderPlaced({ orderId: 'o', cents: 1 }))).toBe(definition)
    expect(definition.upcast({ orderId: 'o' }, 1)).toEqual({ orderId: 'o', cents: 0 })
    expect(definition.validate?.({ orderId: 1 })).toHaveProperty('issues')
  })
})

describe('declared by fields', () => {
  test('an instance is a message with what its fields say', () => {
    const event: Message = new OrderCreatedEvent('o-1', { total: 21 }, { tenantId: 't' })
    expect([event.type, event.version, event.priority, event.subject, event.revision, event.key]).toEqual([
      'OrderCreated',
      2,
      'high',
      'o-1',
      4,
      'o-1',
    ])
    expect(event.metadata.tenantId).toBe('t')
  })

  test('a subscriber may name the class before there is any event', () => {
    class Fresh extends DomainEvent<{ a: number }> {
      override readonly eventType = 'Fresh'
      override readonly topic = 'fresh'
      constructor(payload: { a: number }) {
        super(payload)
        payload.a.toFixed()
      }
    }
    expect(definitionOf(Fresh)).toMatchObject({ type: 'Fresh', version: 1, topic: 'fresh' })
  })

  test('a class that cannot even be tried has to declare statics', () => {
    class Strict extends DomainEvent {
      override readonly eventType = 'Strict'
      constructor(payload: { a: { b: number } }) {
        super(payload.a.b)
      }
    }
    expect(() => definitionOf(Strict)).toThrow(/static readonly type/)
    expect(definitionOfMessage(new Strict({ a: { b: 1 } }))).toMatchObject({ type: 'Strict' })
    expect(definitionOf(Strict)).toMatchObject({ type: 'Strict' })
  })

  test('compilers that assign fields instead of defining them give the same event', () => {
    const event = new AssignedFields({ total: 1 })
    expect([event.type, event.version, event.topic, event.priority]).toEqual(['Assigned', 3, 'legacy', 'low'])
    expect(definitionOf(AssignedFields)).toMatchObject({
      type: 'Assigned',
      version: 3,
      topic: 'legacy',
      priority: 'low',
    })
  })
})

test('the names of domain-driven design are there too', () => {
  const event = new OrderCreatedEvent('o-1', { total: 21 })
  expect([event.eventId, event.aggregateId, event.aggregateVersion, event.occurredOn, event.payload]).toEqual([
    event.id,
    'o-1',
    4,
    event.time,
    { total: 21 },
  ])
  expect(new OrderPlaced({ orderId: 'o', cents: 1 }).eventType).toBe('order.placed')
})

describe('after the wire', () => {
  test('subscribers get an instance of the class, the same message', () => {
    const sent = new OrderPlaced({ orderId: 'o-1', cents: 250 }, { userId: 'u-1' })
    const got = throughWire(sent)
    expect(got).toBeInstanceOf(OrderPlaced)
    expect(got.total).toBe(2.5)
    expect([got.id, got.time, got.subject, got.metadata]).toEqual([sent.id, sent.time, sent.subject, sent.metadata])
    expect(got.data).toEqual(sent.data)
    expect(got.data).not.toBe(sent.data)
  })

  test('the constructor is not run again', () => {
    let runs = 0
    class Counting extends DomainEvent<number> {
      static readonly type = 'Counting'
      constructor(data: number) {
        super(data)
        runs++
      }
    }
    expect(throughWire(new Counting(1))).toBeInstanceOf(Counting)
    expect(runs).toBe(1)
  })

  test('classes declared by fields keep what these said', () => {
    const got = throughWire(new OrderCreatedEvent('o-1', { total: 21 }))
    expect(got).toBeInstanceOf(OrderCreatedEvent)
    expect([got.type, got.eventType, got.version, got.topic, got.aggregateId, got.doubled]).toEqual([
      'OrderCreated',
      'OrderCreated',
      2,
      'orders',
      'o-1',
      42,
    ])
    expect(throughWire(new AssignedFields({ total: 1 }))).toMatchObject({ type: 'Assigned', version: 3 })
  })

  test('what a subscriber got can be published again', () => {
    const got = throughWire(throughWire(new OrderPlaced({ orderId: 'o-1', cents: 1 })))
    expect(got).toBeInstanceOf(OrderPlaced)
    expect(definitionOfMessage(got)).toBe(definitionOf(OrderPlaced))
  })
})

describe('the type is declared, never the name of the class', () => {
  class Undeclared extends DomainEvent<number> {}

  test('a class without one is refused when it is used', () => {
    expect(() => definitionOf(Undeclared)).toThrow(ConfigurationError)
    expect(() => definitionOf(Undeclared)).toThrow(/Undeclared declares no type/)
    const event = new Undeclared(1)
    expect(() => event.type).toThrow(ConfigurationError)
    expect(() => definitionOfMessage(event)).toThrow(ConfigurationError)
  })

  test('a renamed class keeps its type', () => {
    const a = class extends DomainEvent<number> {
      static readonly type = 'Declared'
    }
    expect(new a(1).type).toBe('Declared')
    expect(definitionOf(a).type).toBe('Declared')
  })

  test('the base class itself is no event', () => {
    expect(() => definitionOf(DomainEvent)).toThrow(ConfigurationError)
  })

  test('statics and fields that disagree are refused', () => {
    class Torn extends DomainEvent<number> {
      static readonly type = 'Torn'
      override readonly version = 2
    }
    expect(() => definitionOfMessage(new Torn(1))).toThrow(/version 2.*version 1/)
  })
})
