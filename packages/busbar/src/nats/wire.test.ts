import { MsgHdrsImpl } from '@nats-io/transport-node'
import { describe, expect, test } from 'vitest'
import { DecodeError } from '../message/errors.ts'
import type { EncodedMessage } from '../message/message.ts'
import { foreign, fromWire, type MakeHeaders, toWire } from './wire.ts'

const headers: MakeHeaders = (values = {}) => MsgHdrsImpl.fromRecord(values)

const message: EncodedMessage = {
  id: 'm-1',
  type: 'OrderPlaced',
  kind: 'event',
  source: 'shop',
  subject: 'o-1',
  key: 'k-1',
  time: new Date('2026-01-02T03:04:05.678Z'),
  version: 2,
  metadata: { correlationId: 'c', own: 'ü\r\n"%"' },
  contentType: 'application/json',
  body: '{"n":1}',
}

function roundTrip(sent: EncodedMessage): EncodedMessage {
  const { headers: set, data } = toWire(sent, headers)
  return fromWire(set, typeof data === 'string' ? new TextEncoder().encode(data) : data)
}

describe('a message on the wire', () => {
  test('is a CloudEvents event in binary mode', () => {
    const { headers: set } = toWire(message, headers)
    expect([set.get('ce-specversion'), set.get('ce-id'), set.get('ce-type')]).toEqual(['1.0', 'm-1', 'OrderPlaced'])
    expect([set.get('content-type'), set.get('ce-partitionkey')]).toEqual(['application/json', 'k-1'])
  })

  test.each([
    ['text', message],
    ['bytes of a textual type', { ...message, body: new TextEncoder().encode('{"n":1}') }],
    ['metadata called as what every object has', { ...message, metadata: { correlationId: 'c', constructor: 'x' } }],
    ['text of another type', { ...message, contentType: 'application/cbor', body: 'x' }],
    ['a byte order mark', { ...message, contentType: 'text/plain', body: '\ufeffx' }],
    ['an empty key and subject', { ...message, key: '', subject: '' }],
    ['a subject and no key', { ...message, key: undefined }],
    ['an empty key beside a subject', { ...message, key: '' }],
  ] satisfies [string, EncodedMessage][])('comes back as it was: %s', (_, sent) => {
    expect(roundTrip(sent)).toEqual(sent)
  })

  test('text that is not UTF-8 stays bytes', () => {
    const { headers: set } = toWire(message, headers)
    expect(fromWire(set, Uint8Array.of(0xff, 0x00)).body).toEqual(Uint8Array.of(0xff, 0x00))
  })

  test('nothing that a message says can begin a header of its own', () => {
    const evil = 'x\r\nNats-Msg-Id: stolen'
    const everywhere = {
      id: evil,
      type: evil,
      source: evil,
      subject: evil,
      key: evil,
      metadata: { correlationId: evil, [evil]: evil },
    }
    const { headers: set } = toWire({ ...message, ...everywhere }, headers)
    const lines = new TextDecoder().decode((set as MsgHdrsImpl).encode()).split('\r\n')
    expect(lines.filter((line) => line.startsWith('Nats-'))).toEqual([])
    expect(roundTrip({ ...message, ...everywhere })).toEqual({ ...message, ...everywhere })
    expect(() => toWire({ ...message, contentType: evil }, headers)).toThrow('header')
  })

  test('what is no event is refused, and kept whole as bytes', () => {
    const garbage = new TextEncoder().encode('hello')
    expect(() => fromWire(undefined, garbage)).toThrow(DecodeError)
    expect(foreign('orders', '3@7', garbage)).toMatchObject({ id: 'orders:3@7', body: garbage })
  })
})
