import type { Cluster } from './cluster.ts'

import { isApi } from './errors.ts'

/** The place of a group in one partition, as the server keeps it. */
export interface Committed {
  readonly offset: number
  readonly metadata: string
}

export const LATEST = -1n
export const EARLIEST = -2n

/** First or next offset of partitions of a topic, by partition. `until`: how long a topic that is not there is looked for. */
export async function listOffsets(
  cluster: Cluster,
  topic: string,
  partitions: readonly number[],
  which: bigint,
  until = Infinity,
): Promise<Map<number, number>> {
  return cluster.retrying(
    `reading offsets of ${topic}`,
    async () => {
      if (partitions.some((partition) => cluster.leaderOf(topic, partition) === undefined))
        await cluster.describe([topic])
      const byLeader = new Map<number | undefined, number[]>()
      for (const partition of partitions) {
        const leader = cluster.leaderOf(topic, partition)
        byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition])
      }
      const found = new Map<number, number>()
      await Promise.all(
        [...byLeader].map(async ([leader, indexes]) => {
          const asked = indexes.map((partitionIndex) => ({ partitionIndex, currentLeaderEpoch: -1, timestamp: which }))
          try {
            const request = [-1, 0, [{ name: topic, partitions: asked }]] as [number, number, never[]]
            const { topics } = await cluster.ask(leader, cluster.apis.listOffsets, request)
            for (const one of topics[0]?.partitions ?? []) found.set(one.partitionIndex, Number(one.offset))
          } catch (error) {
            cluster.forget(topic)
            throw error
          }
        }),
      )
      return found
    },
    until,
  )
}

/** What a group has committed, by topic and partition; null: of all topics. What it never committed is missing. */
export async function committedOf(
  cluster: Cluster,
  group: string,
  topics: ReadonlyMap<string, readonly number[]> | null,
): Promise<Map<string, Map<number, Committed>>> {
  const asked =
    topics === null ? null : [...topics].map(([name, partitions]) => ({ name, partitionIndexes: [...partitions] }))
  return cluster.retrying(`reading the place of group ${group}`, async () => {
    const request = [{ groupId: group, memberId: null, memberEpoch: -1, topics: asked as never[] }]
    const { groups } = await cluster.askCoordinator(group, cluster.apis.offsetFetch, [request, false])
    const found = new Map<string, Map<number, Committed>>()
    for (const { name, partitions } of groups[0]?.topics ?? []) {
      const places = new Map<number, Committed>()
      for (const { partitionIndex, committedOffset, metadata } of partitions) {
        if (committedOffset >= 0n)
          places.set(partitionIndex, { offset: Number(committedOffset), metadata: metadata ?? '' })
      }
      found.set(name, places)
    }
    return found
  })
}

/** One place to be committed. */
export interface ToCommit extends Committed {
  readonly topic: string
  readonly partition: number
}

/** Commits as a member of a generation; the server refuses those that are none any more. */
export async function commit(
  cluster: Cluster,
  group: string,
  member: { readonly id: string; readonly generation: number },
  places: readonly ToCommit[],
): Promise<void> {
  const topics = new Map<string, { name: string; partitions: object[] }>()
  for (const { topic, partition, offset, metadata } of places) {
    const entry = topics.get(topic) ?? { name: topic, partitions: [] }
    topics.set(topic, entry)
    entry.partitions.push({
      partitionIndex: partition,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: -1,
      committedMetadata: metadata,
    })
  }
  const request = [group, member.generation, member.id, null, [...topics.values()] as never[]] as const
  await cluster.askCoordinator(group, cluster.apis.offsetCommit, [...request])
}

/** Names of all consumer groups that begin so. */
export async function groupsBeginning(cluster: Cluster, prefix: string): Promise<readonly string[]> {
  const nodes = cluster.nodeIds
  const lists = await Promise.all(
    nodes.map((node) => cluster.retrying('listing groups', () => cluster.ask(node, cluster.apis.listGroups, [[], []]))),
  )
  const names = lists.flatMap(({ groups }) => groups.map(({ groupId }) => groupId))
  return [...new Set(names)].filter((name) => name.startsWith(prefix))
}

/** False: it has members. */
export async function deleteGroup(cluster: Cluster, group: string): Promise<boolean> {
  return cluster.retrying(`deleting group ${group}`, async () => {
    try {
      await cluster.askCoordinator(group, cluster.apis.deleteGroups, [[group]])
      return true
    } catch (error) {
      if (isApi(error, 'NON_EMPTY_GROUP')) return false
      if (isApi(error, 'GROUP_ID_NOT_FOUND')) return true
      throw error
    }
  })
}
