import type { ConnectionPool } from '@platformatic/kafka'
import type { FetchResponse } from './apis.ts'
import { type Cluster, partial } from './cluster.ts'
import { EARLIEST, LATEST, listOffsets } from './offsets.ts'
import { type LogRecord, readable } from './records.ts'

/** Bytes of one answer, unless a single batch is larger. */
const CHUNK = 1024 * 1024
const COMMITTED = 1

/** Reads what is in a partition now, in order, until `visit` says false. Resolves to where it ended. */
export async function scan(
  cluster: Cluster,
  topic: string,
  partition: number,
  from: number,
  visit: (record: LogRecord) => boolean | void,
): Promise<number> {
  const ends = [EARLIEST, LATEST].map((which) => listOffsets(cluster, topic, [partition], which))
  const [first = 0, end = 0] = (await Promise.all(ends)).map((found) => found.get(partition) ?? 0)
  const at = Math.max(from, first)
  if (at >= end) return at
  // A pool of its own: what is long does not hold up others.
  const pool = cluster.newPool()
  try {
    return await read(cluster, { topic, partition, at, end }, visit, pool)
  } finally {
    await pool.close()
  }
}

async function read(
  cluster: Cluster,
  {
    topic,
    partition,
    at,
    end,
  }: { readonly topic: string; readonly partition: number; readonly at: number; readonly end: number },
  visit: (record: LogRecord) => boolean | void,
  pool: ConnectionPool,
): Promise<number> {
  let place = at
  while (place < end) {
    const { records, next } = await fetchOnce(cluster, topic, partition, place, pool)
    for (const record of records) {
      if (record.offset >= end) return end
      if (visit(record) === false) return record.offset + 1
    }
    // Nothing is left of what was compacted away.
    if (next === place) return end
    place = next
  }
  return place
}

/** One record; undefined: it is gone. */
export async function readAt(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: number,
): Promise<LogRecord | undefined> {
  const { records } = await fetchOnce(cluster, topic, partition, offset)
  return records.find((record) => record.offset === offset)
}

async function fetchOnce(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: number,
  pool?: ConnectionPool,
): Promise<{ records: readonly LogRecord[]; next: number }> {
  return cluster.retrying(`reading ${topic}`, async () => {
    if (cluster.leaderOf(topic, partition) === undefined) await cluster.describe([topic])
    const place = { partition, fetchOffset: BigInt(offset), partitionMaxBytes: CHUNK }
    const asked = [
      {
        topicId: cluster.known(topic)?.id ?? '',
        partitions: [{ ...place, currentLeaderEpoch: -1, lastFetchedEpoch: -1 }],
      },
    ]
    const request = [0, 0, CHUNK, COMMITTED, 0, -1, asked, [], ''] as const
    const leader = cluster.leaderOf(topic, partition)
    try {
      const response = await cluster
        .ask(leader, cluster.apis.fetch, [...request] as never, pool)
        .catch((error: unknown) => partial<FetchResponse>(error))
      if (response.errorCode !== 0) throw new cluster.client.ProtocolError(response.errorCode)
      const found = response.responses[0]?.partitions[0]
      if (found === undefined) return { records: [], next: offset }
      if (found.errorCode !== 0) throw new cluster.client.ProtocolError(found.errorCode)
      return readable(found, offset)
    } catch (error) {
      cluster.forget(topic)
      throw error
    }
  })
}
