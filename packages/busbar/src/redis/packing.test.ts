import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Entry, pack } from './packing.ts'
import type { Field } from './wire.ts'

/** What the script of `scripts/publish.ts` makes of the arguments, in its words. */
function unpack(args: readonly Field[]): Entry[] {
  let at = 0
  const take = (): Field => args[at++] as Field
  const number = (): number => Number(take())
  const times = <T>(count: number, one: () => T): T[] => Array.from({ length: count }, one)
  const shapes = times(number(), () => {
    const [length = 0, delayed = 0, width = 0, count = 0] = times(4, number)
    const places = times(count, () => ({ place: number(), value: number() }))
    return { delayed: delayed === 1, width, places, texts: times(length, take) }
  })
  const entries: Entry[] = []
  while (at < args.length) {
    const shape = shapes[number() - 1]
    const count = number()
    if (shape === undefined) throw new Error(`no shape before argument ${at}`)
    for (let left = count; left > 0; left--) {
      const n = number()
      const due = shape.delayed ? number() : undefined
      const values = times(shape.width, take)
      const fields = [...shape.texts]
      for (const { place, value } of shape.places) fields[place - 1] = values[value - 1] as Field
      entries.push({ n, due, fields })
    }
  }
  return entries
}

const entry = (n: number, fields: readonly Field[], due?: number): Entry => ({ n, due, fields })

describe('packed entries', () => {
  test('are what they were, whatever their names, values and order', () => {
    const names = fc.constantFrom(['id', 'data'], ['id', 'subject', 'data'], ['id', 'databytes'], ['a', 'b'])
    const text = fc.oneof(fc.constantFrom('', 'x', 'y'), fc.string())
    const field = fc.oneof(
      { weight: 5, arbitrary: text },
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    )
    const any = fc
      .tuple(
        fc.nat(15),
        fc.option(fc.nat(), { nil: undefined }),
        names,
        fc.array(field, { minLength: 3, maxLength: 3 }),
      )
      .map(([n, due, of, values]) =>
        entry(
          n,
          of.flatMap((name, at) => [name, values[at] as Field]),
          due,
        ),
      )
    fc.assert(
      fc.property(fc.array(any), (entries) => {
        expect(unpack(pack(entries))).toEqual(entries)
      }),
    )
  })

  test('name once what is the same in all of them, and send once what is twice in each', () => {
    const of = (id: string): readonly string[] => ['type', 'OrderPlaced', 'id', id, 'correlationid', id]
    const args = pack(['1', '2', '3'].map((id) => entry(7, of(`id-${id}`))))
    const count = (text: string): number => args.filter((arg) => arg === text).length
    expect(['OrderPlaced', 'correlationid', 'id-1', 'id-2', 'id-3'].map(count)).toEqual([1, 1, 1, 1, 1])
  })

  test('with values that are the same in one entry only keep them apart', () => {
    const entries = [entry(0, ['subject', 's', 'partitionkey', 's']), entry(0, ['subject', 't', 'partitionkey', ''])]
    expect(unpack(pack(entries))).toEqual(entries)
  })
})
