import { expect, test } from 'vitest'
import { Texts } from './texts.ts'
import { fromFields } from './wire.ts'

/** Fields as the client gives them: parts of what it received, with signs of the protocol between them. */
function received(texts: readonly (string | Buffer)[]): Buffer[] {
  const parts = texts.map((text) => Buffer.from(text))
  const chunk = Buffer.concat(parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]))
  let at = 0
  return parts.map(({ length }) => {
    at += `$${length}\r\n`.length
    const field = chunk.subarray(at, at + length)
    at += length + 2
    return field
  })
}

const each = (fields: readonly Buffer[]): string[] => fields.map((field) => field.toString('utf8'))
const read = (fields: readonly Buffer[]): string[] => {
  const texts = new Texts(fields)
  return fields.map((_, index) => texts.at(index))
}

test('fields that lie behind each other are read as each of them is', () => {
  const plain = received(['id', 'a', '', 'data', '{"n":1}', 'x'.repeat(100)])
  expect(read(plain)).toEqual(each(plain))
})

test('what is not ASCII, no UTF-8, cut between two fields, or larger than what is decoded together is read as each of them is', () => {
  const euro = Buffer.from('€')
  for (const odd of [
    ['name', 'Grüße, 世界 🚀', 'data', '{}'],
    ['name', Buffer.of(0xff, 0xfe, 0x41), 'data', '{}'],
    // Together they would be one sign.
    ['name', euro.subarray(0, 1), euro.subarray(1), '{}'],
    ['name', Buffer.of(0xe2, 0x82), 'data', 'é'],
    ['name', 'y'.repeat(10_000), 'data', '{}'],
  ]) {
    const fields = received(odd)
    expect(read(fields)).toEqual(each(fields))
  }
})

test('fields of different memory, and of one memory in another order, are read as each of them is', () => {
  const [a, b, c, d] = received(['one', 'two', 'three', 'four']) as [Buffer, Buffer, Buffer, Buffer]
  for (const fields of [[a, Buffer.from('elsewhere'), c], [d, c, b, a], [a, a], [b, Buffer.alloc(0), c], []]) {
    expect(read(fields)).toEqual(each(fields))
  }
})

test('a text is compared whole: neither its beginning nor one that begins with it is the same', () => {
  for (const fields of [received(['subject', 'x']), received(['subjéct', 'x'])]) {
    const name = (fields[0] as Buffer).toString('utf8')
    const texts = new Texts(fields)
    expect([texts.is(0, name), texts.is(0, name.slice(0, -1)), texts.is(0, `${name}s`)]).toEqual([true, false, false])
  }
})

test('names that were at the same place before are not taken for those that are there now', () => {
  const head = ['specversion', '1.0', 'id', 'x', 'type', 'T', 'source', '/s']
  for (const [name, value] of [
    ['subject', 'a'],
    ['subjects', 'b'],
    ['sub', 'c'],
    ['subject', 'd'],
  ] as const) {
    const { message } = fromFields(received([...head, name, value, 'data', '{}']), 'here')
    expect([message.subject, message.metadata[name]]).toEqual(
      name === 'subject' ? [value, undefined] : [undefined, value],
    )
  }
})
