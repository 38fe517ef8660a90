import type { BrokerMetrics, GroupMetrics, TopicMetrics } from '../broker/index.ts'
import { look, type RabbitContext } from './context.ts'
import type { RabbitDeadLetters } from './dead-letters.ts'
import type { Registry } from './registry.ts'
import type { Numbers, Roster } from './roster.ts'

export interface MetricsParts {
  readonly context: RabbitContext
  readonly registry: Registry
  readonly roster: Roster
  readonly deadLetters: RabbitDeadLetters
}

/**
 * Numbers of a whole deployment, without the management plugin. The server tells what waits in a queue, and not what consumers have in hand:
 * each broker is asked for its own. One that does not answer within a second is left out. `depth` is what the group that is
 * furthest behind has before it, because RabbitMQ keeps a message only as long as a group has not settled it.
 */
export async function measure(
  { context, registry, roster, deadLetters }: MetricsParts,
  inFlight: (group: string, topic: string) => number,
): Promise<BrokerMetrics> {
  const { topics, groups } = await registry.read()
  const { numbers } = await roster.ask()
  const measured: GroupMetrics[] = []
  for (const [group, itsTopics] of groups) {
    const dead = await deadLetters.size(group)
    for (const topic of itsTopics) {
      const partitions = topics.get(topic) ?? 0
      let ready = 0
      for (let n = 0; n < partitions; n++) ready += await waitingIn(context, context.names.queue(topic, group, n))
      const redelivering = await laterIn(context, context.names.later(topic, group), numbers)
      const unsettled = sum(numbers.map((one) => one.unsettled[`${group}\0${topic}`]))
      const lag = ready + unsettled + redelivering
      measured.push({ group, topic, lag, inFlight: inFlight(group, topic), redelivering, parked: 0, dead })
    }
  }
  const told: TopicMetrics[] = []
  for (const topic of topics.keys()) {
    const delayed = await laterIn(context, context.names.delayed(topic), numbers)
    const lags = measured.filter((one) => one.topic === topic).map(({ lag }) => lag)
    told.push({ topic, depth: Math.max(0, ...lags), delayed })
  }
  return { topics: told, groups: measured }
}

/** What waits for its time: what nobody has taken yet, and what somebody keeps. */
async function laterIn(context: RabbitContext, queue: string, numbers: readonly Numbers[]): Promise<number> {
  return (await waitingIn(context, queue)) + sum(numbers.map((one) => one.waiting[queue]))
}

async function waitingIn(context: RabbitContext, queue: string): Promise<number> {
  return (await look(context, queue))?.messages ?? 0
}

function sum(counts: readonly (number | undefined)[]): number {
  return counts.reduce<number>((all, count) => all + (count ?? 0), 0)
}
