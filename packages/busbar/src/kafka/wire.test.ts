import { describe, expect, test } from 'vitest'
import type { EncodedMessage } from '../message/message.ts'
import type { LogRecord } from './records.ts'
import type { ToWrite } from './batch.ts'
import { foreign, fromWire, headerOf, toWire } from './wire.ts'

const message: EncodedMessage = {
  id: '1',
  type: 'OrderPlaced',
  kind: 'event',
  source: 'shop',
  subject: 'o-1',
  key: 'o-1',
  time: new Date('2026-01-02T03:04:05.678Z'),
  version: 2,
  metadata: { correlationId: 'c', own: 'ü' },
  contentType: 'application/json',
  body: '{"total":42}',
}

function read({ key, value, headers = [] }: ToWrite): LogRecord {
  return { offset: 0, key: key ?? null, value, headers: headers.map(([name, text]) => [name, Buffer.from(text)]) }
}

describe('a message as a record of Kafka', () => {
  test('comes back as it was, with and without key and subject', () => {
    const variants: Partial<EncodedMessage>[] = [
      {},
      { key: undefined },
      { subject: undefined },
      { key: undefined, subject: undefined },
      { key: '', subject: '' },
      { body: Uint8Array.of(0, 255), contentType: 'application/octet-stream' },
      { body: Uint8Array.of(123, 125) },
      { body: 'text', contentType: 'application/octet-stream' },
    ]
    for (const variant of variants)
      expect(fromWire(read(toWire({ ...message, ...variant })))).toEqual({ ...message, ...variant })
  })

  test('is a CloudEvents event in binary mode, under the message’s key', () => {
    const record = read(toWire(message, { 'busbar-own': 'x' }))
    expect(record.key?.toString()).toBe('o-1')
    expect(record.value?.toString()).toBe('{"total":42}')
    const named = Object.fromEntries(record.headers.map(([name, value]) => [String(name), String(value)]))
    expect(named).toMatchObject({
      ce_id: '1',
      ce_type: 'OrderPlaced',
      ce_specversion: '1.0',
      'content-type': 'application/json',
    })
    expect(headerOf(record, 'busbar-own')).toBe('x')
  })

  test('of another writer takes its key from the record where the event names none', () => {
    const headers = Object.entries({ ce_specversion: '1.0', ce_id: 'i', ce_type: 't', ce_source: '/s' }).map(
      ([name, value]) => [Buffer.from(name), Buffer.from(value)] as [Buffer, Buffer],
    )
    const record = { offset: 0, key: Buffer.from('k'), value: Buffer.from('1'), headers }
    expect(fromWire(record)).toMatchObject({ id: 'i', key: 'k', body: '1' })
  })

  test('that is no event is kept whole', () => {
    const record = { offset: 7, key: Buffer.from('k'), value: Buffer.of(1, 2, 255), headers: [] }
    expect(() => fromWire(record)).toThrow(/no CloudEvents event/)
    expect(foreign('orders', '0@7', record)).toMatchObject({
      id: 'orders:0@7',
      key: 'k',
      body: Uint8Array.of(1, 2, 255),
    })
  })
})
