import type { ConsumeMessage } from 'amqplib'
import { expect, test } from 'vitest'
import { message } from './fixtures/messages.ts'
import { groupOf, letterFromWire, letterToWire, newLetterId } from './letters.ts'
import { Names } from './names.ts'
import { currentOf } from './topology.ts'
import { fromWire, toWire } from './wire.ts'

/** As it comes back from the server. */
function received({ content, options }: ReturnType<typeof toWire>): ConsumeMessage {
  return { content, properties: options, fields: {} } as unknown as ConsumeMessage
}

test('a message is a CloudEvent in binary mode, and comes back as it was', () => {
  const sent = message('m-1', { subject: 's', key: 'k', revision: 3, priority: 'high' })
  const wire = toWire(sent)
  expect(wire.options).toMatchObject({ persistent: true, contentType: 'application/json', messageId: 'm-1' })
  expect(wire.options.headers).toMatchObject({
    'cloudEvents:specversion': '1.0',
    'cloudEvents:id': 'm-1',
    'cloudEvents:type': 'T',
    'cloudEvents:partitionkey': 'k',
  })
  expect(fromWire(received(wire))).toEqual(sent)
})

test('what CloudEvents and AMQP cannot say is kept beside them', () => {
  for (const changes of [
    { subject: '', key: '' },
    { subject: 's', key: undefined },
    { body: Uint8Array.of(0, 255), contentType: 'application/json' },
    { body: 'text', contentType: 'application/octet-stream' },
    { id: 'i'.repeat(400), contentType: `text/plain; name="${'n'.repeat(300)}"`, body: 'x' },
  ]) {
    const sent = message('m', changes)
    const { id, subject, key, body, contentType } = fromWire(received(toWire(sent)))
    expect({ id, subject, key, body, contentType }).toEqual({
      id: sent.id,
      subject: sent.subject,
      key: sent.key,
      body: sent.body,
      contentType: sent.contentType,
    })
  }
})

test('metadata that does not fit in the headers of AMQP is refused with its size', () => {
  const metadata = { correlationId: 'c', large: 'ä'.repeat(30_000) }
  expect(() => toWire(message('big', { metadata }))).toThrow(/big \(T\) has \d+ bytes of attributes and metadata/)
})

test('a letter holds its message and its failure; an error that is too long is cut between characters', () => {
  const error = { name: 'E', message: 'ü'.repeat(5_000), stack: 'ü'.repeat(10_000) }
  const failure = { reason: 'failed', error, handler: 'h', attempts: 2, firstFailedAt: 1, lastFailedAt: 2 } as const
  const id = newLetterId('group @ 1')
  const where = { group: 'group @ 1', topic: 't', position: '1@2', redeliveries: 1 }
  const letter = letterFromWire(received(letterToWire({ id, ...where, message: message('m'), failure })))
  expect(letter).toMatchObject({ id, ...where, message: { id: 'm' } })
  expect(letter?.failure.error.message).toBe('ü'.repeat(1_000))
  expect(letter?.failure.error.stack).toBe('ü'.repeat(3_000))
  expect(groupOf(id)).toBe('group @ 1')
  expect(groupOf('no-such-letter')).toBeUndefined()
})

test('no two topics or groups share a name, and one that AMQP cannot hold is refused', () => {
  const names = new Names('p')
  const pairs = [
    ['a', 'b:1'],
    ['a:b', '1'],
    ['a%3Ab', '1'],
    ['a', ''],
    ['', 'a'],
  ] as const
  const all = pairs.map(([topic, group]) => names.queue(topic, group, 1))
  expect(new Set(all).size).toBe(all.length)
  expect(names.queue('orders', 'billing', 3)).toBe('p:orders:billing:3')
  expect(() => names.topic('ä'.repeat(200))).toThrow(/255 bytes.*'prefix'/)
})

test('the setting that the server has is read out of its refusal, in the words of its versions', () => {
  const refused = (found: string): string =>
    `PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': ${found}`
  expect(currentOf(refused(`received '8' but current is '4'`), 'x-max-length')).toBe('4')
  const typed = `received the value '8' of type 'signedint' but current is the value '4' of type 'byte'`
  expect(currentOf(refused(typed), 'x-max-length')).toBe('4')
  expect(currentOf(refused(`received the value 'true' of type 'bool' but current is none`), 'x-max-length')).toBe(
    'none',
  )
  expect(currentOf(refused(`received '8' but current is '4'`), 'x-expires')).toBeUndefined()
})
