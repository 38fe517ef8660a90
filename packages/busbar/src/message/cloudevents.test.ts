import { CloudEvent, HTTP, Kafka, ValidationError as SdkError } from 'cloudevents'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bindings, fromBinaryMode, fromStructuredMode, toBinaryMode, toStructuredMode } from './cloudevents-modes.ts'
import type { ReceivedHeaders } from './cloudevents-modes.ts'
import { fromCloudEvent, toCloudEvent } from './cloudevents.ts'
import { ConfigurationError, DecodeError } from './errors.ts'
import { Snapshot } from './message.ts'
import type { EncodedMessage, Metadata } from './message.ts'

const message: EncodedMessage = {
  id: '01987654-0000-7000-8000-000000000001',
  type: 'order.placed',
  kind: 'command',
  source: 'shop',
  subject: 'o-1',
  key: 'k-1',
  time: new Date('2026-01-02T03:04:05.678Z'),
  version: 3,
  revision: 0,
  priority: 'high',
  metadata: {
    correlationId: 'c-1',
    causationId: 'c-0',
    userId: 'Ünal "the first"',
    tenantId: 't 1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'a=1,b=2',
    replyto: 'replies',
    'X-Custom-Header': '100%',
    __proto__x: 'x',
    ключ: 'значение',
  },
  contentType: 'application/json',
  body: '{"orderId":"o-1","name":"Ünal \u{1f680}"}',
}

const data = { orderId: 'o-1', name: 'Ünal \u{1f680}' }

describe('another SDK reads what Busbar writes', () => {
  function expectOurs(event: CloudEvent<unknown>): void {
    expect(event.validate()).toBe(true)
    expect(event).toMatchObject({
      specversion: '1.0',
      id: message.id,
      type: 'order.placed',
      source: 'shop',
      subject: 'o-1',
      time: '2026-01-02T03:04:05.678Z',
      datacontenttype: 'application/json',
      partitionkey: 'k-1',
      kind: 'command',
      priority: 'high',
      correlationid: 'c-1',
      causationid: 'c-0',
      tracestate: 'a=1,b=2',
      replyto: 'replies',
      data,
    })
    expect(String(event['dataversion'])).toBe('3')
  }

  test('HTTP, binary mode', () => {
    const { headers, body } = toBinaryMode(message, bindings.http)
    expectOurs(HTTP.toEvent({ headers: { ...headers }, body }) as CloudEvent<unknown>)
  })

  test('HTTP, structured mode', () => {
    const body = toStructuredMode(message)
    const event = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body })
    expectOurs(event as CloudEvent<unknown>)
    expect((event as CloudEvent<unknown>)['userid']).toBe('Ünal "the first"')
  })

  test('Kafka, binary mode', () => {
    const { headers, body } = toBinaryMode(message, bindings.kafka)
    const event = Kafka.toEvent({ headers: { ...headers }, body, value: body, key: message.key } as never)
    expectOurs(event as CloudEvent<unknown>)
    expect((event as CloudEvent<unknown>)['userid']).toBe('Ünal "the first"')
  })

  test('Kafka, structured mode', () => {
    const value = toStructuredMode(message)
    const headers = { 'content-type': 'application/cloudevents+json' }
    expectOurs(Kafka.toEvent({ headers, body: value, value, key: message.key } as never) as CloudEvent<unknown>)
  })

  test('bytes', () => {
    const bytes: EncodedMessage = {
      ...message,
      contentType: 'application/octet-stream',
      body: Uint8Array.from([0, 255]),
    }
    const event = HTTP.toEvent({
      headers: { 'content-type': 'application/cloudevents+json' },
      body: toStructuredMode(bytes),
    }) as CloudEvent<unknown>
    expect(event.data_base64).toBe(Buffer.from([0, 255]).toString('base64'))
  })

  test('any source becomes a URI reference that the SDK accepts, and comes back as it was', () => {
    const names = [
      'shop',
      'my shop',
      'ünïcode',
      'a:b',
      '1:2',
      '%',
      'a%20b',
      '',
      'busbar:x',
      '<x>',
      'https://a.example/x?y=1#z',
      'urn:a:b',
    ]
    for (const source of names) {
      const written = toCloudEvent({ ...message, source }).attributes['source'] ?? ''
      expect(() => new CloudEvent({ type: 't', source: written }).validate()).not.toThrow(SdkError)
      expect(fromCloudEvent(toCloudEvent({ ...message, source })).source).toBe(source)
    }
  })
})

describe('Busbar reads what another SDK writes', () => {
  const least = new CloudEvent({
    id: 'e-1',
    type: 'com.example.made',
    source: '/elsewhere',
    time: '2026-01-02T03:04:05Z',
    data,
  })
  const full = least.cloneWith({ subject: 's', partitionkey: 'p', mine: 'x', number: 7, flag: true })

  const transports: readonly (readonly [string, (event: CloudEvent<unknown>) => EncodedMessage])[] = [
    ['HTTP binary', (event) => fromBinaryMode(HTTP.binary(event) as ReceivedHeaders, bindings.http)],
    ['HTTP structured', (event) => fromStructuredMode(HTTP.structured(event).body as string)],
    ['Kafka binary', (event) => fromBinaryMode(Kafka.binary(event) as ReceivedHeaders, bindings.kafka)],
    [
      'Kafka structured',
      (event) => fromStructuredMode((Kafka.structured(event) as unknown as { value: string }).value),
    ],
  ]

  test.each(transports)('%s, with required attributes only', (_, carry) => {
    const got = carry(least)
    expect(got).toMatchObject({
      id: 'e-1',
      type: 'com.example.made',
      source: '/elsewhere',
      kind: 'event',
      version: 1,
      metadata: { correlationId: 'e-1' },
    })
    expect(got.time).toEqual(new Date('2026-01-02T03:04:05Z'))
    expect([got.subject, got.key, got.priority, got.revision]).toEqual([undefined, undefined, undefined, undefined])
    expect(typeof got.body === 'string' ? JSON.parse(got.body) : got.body).toEqual(data)
  })

  test.each(transports)('%s, with extensions', (_, carry) => {
    const got = carry(full)
    expect(got).toMatchObject({ subject: 's', key: 'p', metadata: { mine: 'x', number: '7', flag: 'true' } })
  })

  test('of the same time as the one before it has a time of its own', () => {
    const attributes = { specversion: '1.0', id: 'i', type: 't', source: '/s', time: '2026-01-02T03:04:05.678Z' }
    const first = fromCloudEvent({ attributes, body: '1' })
    const written = toCloudEvent(first).attributes.time
    first.time.setFullYear(1999)
    expect(fromCloudEvent({ attributes, body: '1' }).time).toEqual(new Date(attributes.time))
    expect([written, toCloudEvent(first).attributes.time]).toEqual([attributes.time, first.time.toISOString()])
  })

  test('without a time it is the moment of reading', () => {
    const before = Date.now()
    const got = fromCloudEvent({ attributes: { specversion: '1.0', id: 'i', type: 't', source: '/s' }, body: '1' })
    expect(got.time.getTime()).toBeGreaterThanOrEqual(before)
    expect(got.contentType).toBe('application/json')
  })

  test('extensions of the same name with another meaning become headers, not nonsense', () => {
    const attributes = {
      specversion: '1.0',
      id: 'i',
      type: 't',
      source: '/s',
      kind: 'order',
      priority: '5',
      dataversion: '1.2',
    }
    const got = fromCloudEvent({ attributes, body: '1' })
    expect(got).toMatchObject({
      kind: 'event',
      version: 1,
      metadata: { kind: 'order', priority: '5', dataversion: '1.2' },
    })
    expect(got.priority).toBeUndefined()
    expect(fromCloudEvent(toCloudEvent(got)).metadata).toEqual(got.metadata)
  })
})

describe('a round trip loses nothing', () => {
  test.each(Object.entries(bindings))('binary over %s', (_, binding) => {
    expect(fromBinaryMode(toBinaryMode(message, binding), binding)).toEqual(message)
  })

  test('header values as bytes, as some clients give them', () => {
    const { headers, body } = toBinaryMode(message, bindings.kafka)
    const bytes = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)]))
    expect(fromBinaryMode({ headers: { ...bytes, other: [1], none: null }, body }, bindings.kafka)).toEqual(message)
  })

  test('header names in any case, and both prefixes of AMQP', () => {
    const { headers, body } = toBinaryMode(message, bindings.amqp)
    const shouted = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name.replace('cloudEvents:', 'cloudEvents_').toUpperCase(),
        value,
      ]),
    )
    expect(fromBinaryMode({ headers: shouted, body }, bindings.amqp)).toEqual(message)
  })

  test('structured', () => {
    expect(fromStructuredMode(toStructuredMode(message))).toEqual(message)
    expect(fromStructuredMode(Buffer.from(toStructuredMode(message)))).toEqual(message)
  })

  test('structured, for bytes and texts that are not JSON', () => {
    const bytes = { ...message, contentType: 'application/octet-stream', body: Uint8Array.from([1, 2]) }
    expect(fromStructuredMode(toStructuredMode(bytes))).toEqual(bytes)
    const text = { ...message, contentType: 'text/plain', body: 'say "hi"' }
    expect(fromStructuredMode(toStructuredMode(text))).toEqual(text)
  })

  test('for any header and any text', () => {
    const name = fc.oneof(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.constantFrom(
        'id',
        'data',
        'kind',
        'hx',
        'hxx41',
        'x',
        'userid',
        'UserId',
        'constructor',
        '__proto__',
        'a-b',
        'A'.repeat(40),
      ),
    )
    const headers = fc.dictionary(name, fc.string({ unit: 'grapheme' }))
    fc.assert(
      fc.property(headers, (extra) => {
        const metadata = Object.fromEntries([...Object.entries(extra), ['correlationId', 'c']]) as Metadata
        const written = { ...message, metadata }
        const attributes = Object.keys(toCloudEvent(written).attributes)
        for (const attribute of attributes) expect(attribute).toMatch(/^[a-z0-9]+$/)
        for (const binding of Object.values(bindings)) {
          expect(fromBinaryMode(toBinaryMode(written, binding), binding).metadata).toEqual(metadata)
        }
        expect(fromStructuredMode(toStructuredMode(written)).metadata).toEqual(metadata)
      }),
    )
  })

  test('headers over HTTP are printable ASCII', () => {
    for (const value of Object.values(toBinaryMode(message, bindings.http).headers))
      expect(value).toMatch(/^[\x20-\x7e]*$/)
  })
})

describe('what is no event is refused', () => {
  const good = { specversion: '1.0', id: 'i', type: 't', source: '/s' }

  test.each(['specversion', 'id', 'type', 'source'])('without %s', (name) => {
    const attributes: Record<string, string> = { ...good }
    delete attributes[name]
    expect(() => fromCloudEvent({ attributes, body: '' })).toThrow(DecodeError)
    expect(() => fromCloudEvent({ attributes, body: '' })).toThrow(name)
  })

  test('of another version, with a broken time, or no JSON object', () => {
    expect(() => fromCloudEvent({ attributes: { ...good, specversion: '0.3' }, body: '' })).toThrow(/0\.3/)
    expect(() => fromCloudEvent({ attributes: { ...good, time: 'noon' }, body: '' })).toThrow(DecodeError)
    for (const text of ['[]', 'null', '7', '{']) expect(() => fromStructuredMode(text)).toThrow(DecodeError)
  })

  test('a copy for this process never goes on a wire', () => {
    const local = { ...message, body: new Snapshot({ a: 1 }) }
    expect(() => toStructuredMode(local)).toThrow(ConfigurationError)
    expect(() => toBinaryMode(local, bindings.kafka)).toThrow(ConfigurationError)
  })
})
