import type { JobType } from 'bullmq'
import type { BrokerMetrics, GroupMetrics } from '../broker/index.ts'
import type { BullMqContext } from './context.ts'
import type { Queue } from './queues.ts'
import { run } from './scripts.ts'

/** Delayed jobs that one script looks at. */
const PAGE = 1_000

export type InFlight = (group: string, topic: string) => number

/** Numbers of all topics and groups, of all processes; only `inFlight` is what this process has. */
export async function measure(context: BullMqContext, inFlight: InFlight): Promise<BrokerMetrics> {
  const { registry, queues } = context
  const entries = (await registry.entries()).filter(({ temporary }) => temporary !== true)
  const known = new Map([...entries, ...(await registry.shelves())].map((one) => [`${one.group}\n${one.topic}`, one]))
  const topics = new Map<string, { depth: number; delayed: number }>()
  const groups: GroupMetrics[] = []
  for (const { group, topic } of known.values()) {
    const { lag, redelivering, delayed, dead } = await measureQueue(context, queues.of(group, topic))
    groups.push({ group, topic, lag, inFlight: inFlight(group, topic), redelivering, parked: 0, dead })
    // Each group has jobs of its own for the same messages: a topic is as deep as its slowest group.
    const before = topics.get(topic)
    topics.set(topic, {
      depth: Math.max(before?.depth ?? 0, lag + delayed),
      delayed: Math.max(before?.delayed ?? 0, delayed),
    })
  }
  return { topics: [...topics].map(([topic, numbers]) => ({ topic, ...numbers })), groups }
}

async function measureQueue(
  { redis }: BullMqContext,
  { backend }: Queue,
): Promise<{ lag: number; redelivering: number; delayed: number; dead: number }> {
  const states: JobType[] = ['wait', 'prioritized', 'active', 'delayed', 'failed']
  const [wait = 0, prioritized = 0, active = 0, later = 0, dead = 0] = await backend.getCounts(states)
  const redelivering = later === 0 ? 0 : await countTried(redis, backend)
  return { lag: wait + prioritized + active + redelivering, redelivering, delayed: later - redelivering, dead }
}

/** BullMQ has one set for what was published with a delay and for what comes again; only the latter was tried already. */
async function countTried(redis: BullMqContext['redis'], backend: Queue['backend']): Promise<number> {
  let count = 0
  for (let from = 0; ; from += PAGE) {
    const args = [backend.keys['delayed'] as string, backend.toKey(''), from]
    const [tried, seen] = (await run(redis, 'busbarTried', args)) as readonly [number, number]
    count += tried
    if (seen < PAGE) return count
  }
}
