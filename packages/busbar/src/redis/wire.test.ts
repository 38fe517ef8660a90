import { describe, expect, test } from 'vitest'
import { EventPriority, type EncodedMessage } from '../message/message.ts'
import { fromPayload, toPayload } from './pubsub-wire.ts'
import { type Field, fromFields, toFields } from './wire.ts'

const message: EncodedMessage = {
  id: 'm-1',
  type: 'OrderPlaced',
  kind: 'event',
  source: 'orders',
  subject: 'o-1',
  key: 'o-1',
  time: new Date('2026-01-02T03:04:05.678Z'),
  version: 2,
  revision: 7,
  priority: EventPriority.HIGH,
  metadata: { correlationId: 'c', own: 'ü' },
  contentType: 'application/json',
  body: '{"n":1}',
}

const asBuffers = (fields: readonly Field[]): Buffer[] =>
  fields.map((field) => (typeof field === 'string' ? Buffer.from(field) : field))

describe('fields of a stream', () => {
  test('are the attributes of CloudEvents by their names, with the body in data', () => {
    const fields = toFields(message)
    const named = Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]]] : [])))
    expect(named).toMatchObject({
      specversion: '1.0',
      id: 'm-1',
      type: 'OrderPlaced',
      source: 'orders',
      partitionkey: 'o-1',
      dataversion: '2',
      datacontenttype: 'application/json',
      data: '{"n":1}',
    })
  })

  test('a subject without a key comes back without a key', () => {
    const { message: back } = fromFields(asBuffers(toFields({ ...message, key: undefined })), 'here')
    expect([back.subject, back.key]).toEqual(['o-1', undefined])
  })

  test('what another client writes is read with nothing but what CloudEvents requires', () => {
    const fields = ['specversion', '1.0', 'id', 'x', 'type', 'T', 'source', '/s', 'subject', 's', 'data', '{}']
    const { message: back, error } = fromFields(asBuffers(fields), 'here')
    expect(error).toBeUndefined()
    expect(back).toMatchObject({ id: 'x', type: 'T', source: '/s', key: 's', body: '{}', kind: 'event' })
  })

  test('garbage is told as such and keeps its bytes', () => {
    const { message: back, error } = fromFields(asBuffers(['databytes', '\u0000\u0001']), '3@1-0')
    expect(error?.message).toMatch(/no specversion/)
    expect(back.id).toBe('3@1-0')
    expect(Array.from(back.body as Uint8Array)).toEqual([0, 1])
  })
})

describe('payloads of a channel', () => {
  test('bodies of text and of bytes come back as they were, line ends in them too', () => {
    for (const body of ['{"n":\n1}', '', Uint8Array.of(0, 10, 255)]) {
      expect(fromPayload(Buffer.from(toPayload({ ...message, body })), 'here').message).toEqual({ ...message, body })
    }
  })

  test('the structured mode of CloudEvents is read, on one line and on several', () => {
    const event = { specversion: '1.0', id: 'x', type: 'T', source: '/s', data: { n: 1 } }
    for (const text of [JSON.stringify(event), JSON.stringify(event, null, 2), `${JSON.stringify(event)}\n`]) {
      expect(fromPayload(Buffer.from(text), 'here').message).toMatchObject({ id: 'x', type: 'T', body: '{"n":1}' })
    }
  })

  test('garbage is told as such', () => {
    expect(fromPayload(Buffer.from('hello'), 'here').error).toBeDefined()
  })
})
