import type { BrokerMetrics, GroupMetrics, TopicMetrics } from '../broker/index.ts'
import { list, run, text } from './connection.ts'
import type { RedisContext } from './context.ts'

/** Numbers of all topics and groups, of all processes; only `inFlight` is what this process has. */
export async function measure(
  context: RedisContext,
  inFlight: (group: string, topic: string) => number,
): Promise<BrokerMetrics> {
  const { redis, keys } = context
  const topics: TopicMetrics[] = []
  const groups: GroupMetrics[] = []
  for (const { name: topic, partitions } of await context.topics.all()) {
    const [depth, delayed, found] = list(await run(redis, 'busbarMeasure', [keys.base(topic), partitions]))
    topics.push({ topic, depth: Number(depth), delayed: Number(delayed) })
    for (const one of list(found)) {
      const [name, lag, redelivering, parked, dead] = list(one)
      const group = text(name)
      const counts = {
        lag: Number(lag),
        redelivering: Number(redelivering),
        parked: Number(parked),
        dead: Number(dead),
      }
      groups.push({ group, topic, inFlight: inFlight(group, topic), ...counts })
    }
  }
  return { topics, groups }
}
