import type { BrokerMetrics, GroupMetrics, TopicMetrics } from '../broker/index.ts'
import { asideOf } from './asides.ts'
import type { KafkaContext } from './context.ts'
import { decode } from './cursor.ts'
import { committedOf, EARLIEST, groupsBeginning, LATEST, listOffsets } from './offsets.ts'
import { scan } from './reading.ts'
import type { Topic } from './topology.ts'
import { headerOf } from './wire.ts'

type Ends = ReadonlyMap<string, ReadonlyMap<number, number>>

/** Reads the numbers of a whole deployment from the servers. `dead`: how many letters each group has of each topic; `inFlight`: what only this process knows. */
export async function measure(
  context: KafkaContext,
  dead: ReadonlyMap<string, number>,
  inFlight: (group: string, topic: string) => number,
): Promise<BrokerMetrics> {
  const { cluster, names, topology } = context
  const topics = await topology.all()
  const [groups, delayed] = await Promise.all([groupsBeginning(cluster, names.start), countDelayed(context)])
  const ends: Map<string, Map<number, number>> = new Map()
  const measured = await Promise.all(
    topics.map(async (topic): Promise<TopicMetrics> => {
      const all = Array.from({ length: topic.partitions }, (_, partition) => partition)
      const [first, last] = await Promise.all(
        [EARLIEST, LATEST].map((which) => listOffsets(cluster, topic.log, all, which)),
      )
      ends.set(topic.log, last ?? new Map())
      const depth = all.reduce((sum, each) => sum + (last?.get(each) ?? 0) - (first?.get(each) ?? 0), 0)
      return { topic: topic.name, depth, delayed: delayed.get(topic.name) ?? 0 }
    }),
  )
  const known = groups.flatMap((id) => names.groupOf(id) ?? [])
  const parts = { context, topics, ends, dead, inFlight }
  return { topics: measured, groups: (await Promise.all(known.map((group) => measureGroup(parts, group)))).flat() }
}

interface Parts {
  readonly context: KafkaContext
  readonly topics: readonly Topic[]
  readonly ends: Ends
  readonly dead: ReadonlyMap<string, number>
  readonly inFlight: (group: string, topic: string) => number
}

async function measureGroup({ context, topics, ends, dead, inFlight }: Parts, group: string): Promise<GroupMetrics[]> {
  const { cluster, names } = context
  const committed = await committedOf(cluster, names.group(group), null)
  const read = topics.filter(({ log }) => (committed.get(log)?.size ?? 0) > 0)
  return Promise.all(
    read.map(async (topic): Promise<GroupMetrics> => {
      let unread = 0
      let open = 0
      let handed = 0
      for (const [partition, { offset, metadata }] of committed.get(topic.log) ?? []) {
        const place = decode(offset, metadata)
        const asides = place?.open.filter(({ aside }) => aside).length ?? 0
        handed += asides
        open += place?.open.length ?? 0
        unread += Math.max(0, (ends.get(topic.log)?.get(partition) ?? 0) - (place?.handed ?? offset))
      }
      const waiting = Math.max(0, (await countAsides(context, group, topic)) - handed)
      return {
        group,
        topic: topic.name,
        lag: unread + open + waiting,
        inFlight: inFlight(group, topic.name),
        redelivering: waiting,
        parked: 0,
        dead: dead.get(JSON.stringify([group, topic.name])) ?? 0,
      }
    }),
  )
}

/** What is set aside of a group, due or not. */
async function countAsides({ cluster, names }: KafkaContext, group: string, topic: Topic): Promise<number> {
  const name = names.retry(group, topic.name)
  const [found] = await cluster.describe([name])
  if (found === undefined) return 0
  const entries = new Set<string>()
  await Promise.all(
    found.leaders.map((_, partition) =>
      scan(cluster, name, partition, 0, (record) => {
        const said = asideOf(record)
        if (said === undefined) return
        if (said.aside === undefined) entries.delete(`${partition}/${said.entry}`)
        else entries.add(`${partition}/${said.entry}`)
      }),
    ),
  )
  return entries.size
}

/** Messages that wait for their time, by topic. */
async function countDelayed({ cluster, names }: KafkaContext): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  const [found] = await cluster.describe([names.delayed])
  if (found === undefined) return counts
  const waiting = new Map<string, string>()
  await Promise.all(
    found.leaders.map((_, partition) =>
      scan(cluster, names.delayed, partition, 0, (record) => {
        const key = record.key?.toString('utf8') ?? ''
        const info = record.value === null ? undefined : headerOf(record, 'busbar-delayed')
        if (info === undefined) waiting.delete(key)
        else waiting.set(key, (JSON.parse(info) as { topic: string }).topic)
      }),
    ),
  )
  for (const topic of waiting.values()) counts.set(topic, (counts.get(topic) ?? 0) + 1)
  return counts
}
