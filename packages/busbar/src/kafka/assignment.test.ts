import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assign, type Claim, type TopicPartition } from './assignment.ts'

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

/** All members do what they are told, in any number of rounds: each has then what it was given last. */
function settle(members: readonly Claim[], partitions: number): Map<string, TopicPartition[]> {
  let claims = [...members]
  for (let round = 0; round < 10; round++) {
    const shares = assign(claims, () => partitions)
    claims = claims.map((claim) => ({ ...claim, owned: shares.get(claim.id) ?? [] }))
  }
  return new Map(claims.map(({ id, owned }) => [id, [...owned]]))
}

describe('sharing partitions', () => {
  const members = fc
    .uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1 })
    .chain((ids) =>
      fc.record({
        ids: fc.constant(ids),
        partitions: fc.integer({ min: 1, max: 12 }),
        owners: fc.array(fc.nat(ids.length), { minLength: 24, maxLength: 24 }),
        reads: fc.array(fc.boolean(), { minLength: ids.length * 2, maxLength: ids.length * 2 }),
      }),
    )
    .map(({ ids, partitions, owners, reads }) => {
      const claims = ids.map((id, n): Claim => {
        const topics = ['x', 'y'].filter((_, t) => reads[2 * n + t])
        const owned = ['x', 'y'].flatMap((topic, t) =>
          Array.from({ length: partitions }, (_, partition) => ({ topic, partition })).filter(
            ({ partition }) => owners[12 * t + partition] === n,
          ),
        )
        return { id, topics, owned }
      })
      return { claims, partitions }
    })

  test('nobody is given what another still has', () => {
    fc.assert(
      fc.property(members, ({ claims, partitions }) => {
        const owner = new Map(claims.flatMap(({ id, owned }) => owned.map((one) => [keyOf(one), id])))
        const given = [...assign(claims, () => partitions)].flatMap(([id, some]) =>
          some.map((one) => [keyOf(one), id] as const),
        )
        expect(new Set(given.map(([key]) => key)).size).toBe(given.length)
        for (const [key, id] of given) expect(owner.get(key) ?? id).toBe(id)
      }),
    )
  })

  test('in the end every partition of a topic that is read has one owner, and the shares differ by one at most', () => {
    fc.assert(
      fc.property(members, ({ claims, partitions }) => {
        const shares = settle(claims, partitions)
        for (const topic of ['x', 'y']) {
          const readers = claims.filter(({ topics }) => topics.includes(topic))
          const counts = readers.map(({ id }) => shares.get(id)?.filter((one) => one.topic === topic).length ?? 0)
          const all = [...shares.values()].flat().filter((one) => one.topic === topic)
          expect(all.length).toBe(readers.length === 0 ? 0 : partitions)
          if (counts.length > 0) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  test('a newcomer takes no more from the others than its share', () => {
    const owned = Array.from({ length: 8 }, (_, partition) => ({ topic: 'x', partition }))
    const shares = assign(
      [
        { id: 'a', topics: ['x'], owned },
        { id: 'b', topics: ['x'], owned: [] },
      ],
      () => 8,
    )
    expect(shares.get('a')).toEqual(owned.slice(0, 4))
    expect(shares.get('b')).toEqual([])
  })
})
