/** Who reads which partition: computed by one member of the group for all of them. */

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A member, as it told its group. */
export interface Claim {
  readonly id: string
  readonly topics: readonly string[]
  /** What it has now. Nobody else gets it before it has given it up. */
  readonly owned: readonly TopicPartition[]
}

/**
 * Shares each topic evenly among those that read it. A member keeps what it has up to its share; what is above is left to
 * nobody until the member, which sees that it is not among its own any more, has drained it and comes again without it. So no
 * partition is ever read by two, and nobody waits for the slow handler of another.
 */
export function assign(
  members: readonly Claim[],
  partitionsOf: (topic: string) => number,
): Map<string, TopicPartition[]> {
  const result = new Map<string, TopicPartition[]>(members.map(({ id }) => [id, []]))
  const topics = [...new Set(members.flatMap((member) => member.topics))].toSorted()
  for (const topic of topics) {
    const readers = members.filter((member) => member.topics.includes(topic))
    share(topic, partitionsOf(topic), readers, members, result)
  }
  return result
}

function share(
  topic: string,
  partitions: number,
  readers: readonly Claim[],
  members: readonly Claim[],
  result: Map<string, TopicPartition[]>,
): void {
  const owners = new Map<number, string>()
  for (const { id, owned } of members) for (const one of owned) if (one.topic === topic) owners.set(one.partition, id)
  const has = (id: string): number[] => [...owners].filter(([, owner]) => owner === id).map(([partition]) => partition)
  // Those that have more keep the larger shares, and of the others those that have less of other topics get them.
  const inOrder = readers.toSorted(
    (a, b) =>
      has(b.id).length - has(a.id).length ||
      (result.get(a.id)?.length ?? 0) - (result.get(b.id)?.length ?? 0) ||
      (a.id < b.id ? -1 : 1),
  )
  const free = Array.from({ length: partitions }, (_, partition) => partition).filter(
    (partition) => !owners.has(partition),
  )
  const least = Math.floor(partitions / readers.length)
  const more = partitions % readers.length
  for (const [place, { id }] of inOrder.entries()) {
    const due = least + (place < more ? 1 : 0)
    const kept = has(id)
      .toSorted((a, b) => a - b)
      .slice(0, due)
    const given = [...kept, ...free.splice(0, due - kept.length)]
    result.get(id)?.push(...given.map((partition) => ({ topic, partition })))
  }
}
