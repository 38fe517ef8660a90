/** The way out (`prepare`) and the way in (`open`) of a message, together as a broker uses them. */
import { type } from 'arktype'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Codec } from './codec.ts'
import { definitionOf, event } from './contract.ts'
import type { ContractLike } from './contract.ts'
import { DecodeError, EncodeError, MessageTooLargeError, ValidationError } from './errors.ts'
import { open } from './inbound.ts'
import { JsonCodec } from './json-codec.ts'
import { Snapshot } from './message.ts'
import type { EncodedMessage, Message } from './message.ts'
import { prepare } from './outbound.ts'
import type { PrepareOptions } from './outbound.ts'
import { RichJsonCodec } from './rich-codec.ts'
import { typed } from './schema.ts'

const codec = new JsonCodec()
const wire = { codec, inProcess: false, maxBytes: 1000 }
const local = { ...wire, inProcess: true }

const Placed = event('Placed', z.object({ id: z.string(), at: z.date() }))
const Counted = event('Counted', z.object({ n: z.string().transform(Number) }))
const Loose = event('Loose', typed<unknown>())

function sent(message: Message, contract: ContractLike | undefined, options: PrepareOptions = wire): EncodedMessage {
  const encoded = prepare(message, contract === undefined ? undefined : definitionOf(contract), options)
  if (encoded instanceof Promise) throw new Error('a synchronous schema has to give a message at once')
  return encoded
}

function opened(encoded: EncodedMessage, contract: ContractLike | undefined, by: Codec = codec): Message {
  const message = open(encoded, contract === undefined ? undefined : definitionOf(contract), by)
  if (message instanceof Promise) throw new Error('a synchronous schema has to give a message at once')
  return message
}

describe.each([
  ['over a wire', wire],
  ['in process', local],
])('%s', (_, options) => {
  test('a message comes back as it was, Dates included', () => {
    const message = Placed.create(
      { id: 'o-1', at: new Date() },
      { userId: 'u', odd: 'Ä' },
      { subject: 's', revision: 0 },
    )
    expect(opened(sent(message, Placed, options), Placed)).toEqual(message)
  })

  test('transforms run once, at consume', () => {
    const encoded = sent(Counted.create({ n: '7' }), Counted, options)
    expect(opened(encoded, Counted).data).toEqual({ n: 7 })
    expect(opened(encoded, undefined).data).toEqual({ n: '7' })
  })

  test('invalid data is refused with path and contract', () => {
    const message = Placed.create({ id: 7, at: new Date() } as never)
    expect(() => sent(message, Placed, options)).toThrow(ValidationError)
    expect(() => sent(message, Placed, options)).toThrow(/Placed \(version 1\) has invalid data: id: /)
  })

  test('data that cannot be carried is refused with type and path', () => {
    expect(() => sent(Loose.create({ a: [1n] }), Loose, options)).toThrow(EncodeError)
    expect(() => sent(Loose.create({ a: [1n] }), Loose, options)).toThrow(/^Loose cannot be sent: a\[0\]/)
  })

  test("a body over the broker's limit is refused, to the byte", () => {
    expect(() => sent(Loose.create('x'.repeat(998)), Loose, options)).not.toThrow()
    expect(() => sent(Loose.create('x'.repeat(999)), Loose, options)).toThrow(MessageTooLargeError)
    expect(() => sent(Loose.create('ä'.repeat(499)), Loose, options)).not.toThrow()
    expect(() => sent(Loose.create('ä'.repeat(500)), Loose, options)).toThrow(/1002.*1000/)
    expect(() => sent(Loose.create(new Uint8Array(1000)), Loose, options)).not.toThrow()
    expect(() => sent(Loose.create(new Uint8Array(1001)), Loose, options)).toThrow(MessageTooLargeError)
  })

  test('no two handlers and no publisher share anything', () => {
    const data = { list: [1] }
    const message = Loose.create(data)
    const encoded = sent(message, Loose, options)
    data.list.push(2)
    const first = opened(encoded, Loose)
    ;(first.data as typeof data).list.push(3)
    expect(opened(encoded, Loose).data).toEqual({ list: [1] })
  })

  test('bytes are their own body', () => {
    for (const bytes of [Uint8Array.from([0, 255, 128]), new Uint8Array()]) {
      const encoded = sent(Loose.create(Buffer.from(bytes)), Loose, options)
      expect(encoded.contentType).toBe('application/octet-stream')
      const back = opened(encoded, Loose).data
      expect(back).toStrictEqual(bytes)
      expect(opened(encoded, Loose).data).not.toBe(back)
    }
  })

  test('changing the bytes after publishing changes nothing', () => {
    const bytes = Uint8Array.from([1])
    const encoded = sent(Loose.create(bytes), Loose, options)
    bytes[0] = 2
    expect(opened(encoded, Loose).data).toStrictEqual(Uint8Array.from([1]))
  })

  test('an asynchronous schema gives promises, and refuses alike', async () => {
    const Slow = event('Slow', z.object({ n: z.number().refine(async (n) => Promise.resolve(n > 0)) }))
    const definition = definitionOf(Slow)
    const encoded = prepare(Slow.create({ n: 1 }), definition, options)
    expect(encoded).toBeInstanceOf(Promise)
    expect(await open(await encoded, definition, codec)).toMatchObject({ data: { n: 1 } })
    await expect(prepare(Slow.create({ n: 0 }), definition, options)).rejects.toThrow(ValidationError)
  })
})

test('in process the time and the headers are copies too', () => {
  const message = Loose.create(1, { userId: 'u' })
  const encoded = sent(message, Loose, local)
  expect(encoded.body).toBeInstanceOf(Snapshot)
  message.time.setTime(0)
  const got = opened(encoded, Loose)
  expect(got.time.getTime()).toBeGreaterThan(0)
  got.time.setTime(0)
  expect(opened(encoded, Loose).time.getTime()).toBeGreaterThan(0)
  expect(opened(encoded, Loose).metadata).not.toBe(got.metadata)
})

test('without a contract the data is passed through', () => {
  const encoded = sent({ ...Loose.create({ a: 1 }) }, undefined)
  expect(opened(encoded, undefined).data).toEqual({ a: 1 })
})

test('what is wrong with personal data is told without it, at both ends', () => {
  const guests = type({ guests: type({ name: 'string < 5' }).array(), n: 'number' })
  const Booked = event('Booked', guests, { personal: ['guests.name'] })
  const Unmarked = event('Booked', guests)
  const message = Booked.create({ guests: [{ name: 'Ada Lovelace' }], n: 'seven' } as never)
  const encoded = sent(message, undefined)
  expect(() => opened(encoded, Unmarked)).toThrow(/guests\[0\].name: .*12/)
  for (const run of [() => sent(message, Booked), () => opened(encoded, Booked)]) {
    expect(run).toThrow(/guests\[0\].name: is not valid \(personal data, not shown\); n: /)
    expect(run).not.toThrow(/12/)
  }
})

describe('versions', () => {
  const Two = event('Two', z.object({ b: z.number() }), {
    version: 2,
    upcast: { 1: (old: { a: string }) => ({ b: old.a.length }) },
  })

  test('older data is brought up to the contract, then validated', () => {
    const old = { ...Two.create({ a: 'four' } as never), version: 1 }
    const encoded = sent(old, Two)
    expect(encoded.version).toBe(1)
    expect(encoded.body).toBe('{"a":"four"}')
    expect(opened(encoded, Two)).toMatchObject({ version: 2, data: { b: 4 } })
  })

  test('an unknown version is invalid at both ends, and says why', () => {
    const newer = { ...Two.create({ b: 1 }), version: 3 }
    expect(() => sent(newer, Two)).toThrow(/versions up to 2/)
    expect(() => opened({ ...sent(newer, undefined) }, Two)).toThrow(ValidationError)
  })
})

describe('bodies by their content type', () => {
  const body = (contentType: string, text: string): EncodedMessage => ({
    ...sent(Loose.create(0), Loose),
    contentType,
    body: text,
  })

  test.each(['application/json', 'application/json; charset=utf-8', 'application/vnd.shop+json', 'Text/JSON', ''])(
    'JSON by any name is read: %j',
    (contentType) => {
      expect(opened(body(contentType, '{"a":1}'), Loose).data).toEqual({ a: 1 })
    },
  )

  test('another type is refused, and the text says what to do', () => {
    expect(() => opened(body('text/xml', '<a/>'), Loose)).toThrow(DecodeError)
    expect(() => opened(body('text/xml', '<a/>'), Loose)).toThrow(/give the bus the codec/)
  })

  test('a rich body is not mistaken for plain JSON, nor plain JSON for a rich body', () => {
    const rich = new RichJsonCodec()
    const encoded = sent(Loose.create({ big: 1n }), Loose, { ...wire, codec: rich })
    expect(opened(encoded, Loose, rich).data).toEqual({ big: 1n })
    expect(() => opened(encoded, Loose)).toThrow(DecodeError)
    expect(opened(body('application/json', '{"$bigint":"1"}'), Loose, rich).data).toEqual({ $bigint: '1' })
  })

  test('broken bodies are refused', () => {
    expect(() => opened(body('application/json', '{'), Placed)).toThrow(DecodeError)
  })
})
