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

/** What is ready in the queues of one group and topic. */
interface Ready {
  readonly group: string
  readonly topic: string
  readonly line: number
  readonly later: number
  readonly dead: number
}

/**
 * Numbers of a whole deployment, without the management plugin. The server tells what waits in a queue, and not what consumers have in hand:
 * each broker is asked for its own, before and after, so that what is handed out meanwhile is counted twice rather than not at
 * all. One that does not answer within a second is left out. `depth` is what the group that is furthest behind has before it, because
 * RabbitMQ keeps a message only as long as a group has not settled it.
 */
export async function measure(
  { context, registry, roster, deadLetters }: MetricsParts,
  inFlight: (group: string, topic: string) => number,
): Promise<BrokerMetrics> {
  const { names } = context
  const { topics, groups } = await registry.read()
  const before = await inHand(roster)
  const ready: Ready[] = []
  const delayed = new Map<string, number>()
  for (const topic of topics.keys()) delayed.set(topic, await waitingIn(context, names.delayed(topic)))
  for (const [group, itsTopics] of groups) {
    const dead = await deadLetters.size(group)
    for (const topic of itsTopics) {
      let line = 0
      for (let n = 0; n < (topics.get(topic) ?? 0); n++) line += await waitingIn(context, names.queue(topic, group, n))
      ready.push({ group, topic, line, later: await waitingIn(context, names.later(topic, group)), dead })
    }
  }
  const after = await inHand(roster)
  const held = (which: keyof Numbers, name: string): number =>
    Math.max(before[which].get(name) ?? 0, after[which].get(name) ?? 0)
  const measured = ready.map(({ group, topic, line, later, dead }): GroupMetrics => {
    const redelivering = later + held('waiting', names.later(topic, group))
    const lag = line + held('unsettled', `${group}\0${topic}`) + redelivering
    return { group, topic, lag, inFlight: inFlight(group, topic), redelivering, parked: 0, dead }
  })
  const told = [...delayed].map(([topic, count]): TopicMetrics => {
    const lags = measured.filter((one) => one.topic === topic).map(({ lag }) => lag)
    return { topic, depth: Math.max(0, ...lags), delayed: count + held('waiting', names.delayed(topic)) }
  })
  return { topics: told, groups: measured }
}

/** What all brokers together have in memory. */
async function inHand(roster: Roster): Promise<Readonly<Record<keyof Numbers, ReadonlyMap<string, number>>>> {
  const unsettled = new Map<string, number>()
  const waiting = new Map<string, number>()
  const add = (to: Map<string, number>, counts: Readonly<Record<string, number>>): void => {
    for (const [name, count] of Object.entries(counts)) to.set(name, (to.get(name) ?? 0) + count)
  }
  for (const numbers of (await roster.ask()).numbers) {
    add(unsettled, numbers.unsettled)
    add(waiting, numbers.waiting)
  }
  return { unsettled, waiting }
}

async function waitingIn(context: RabbitContext, queue: string): Promise<number> {
  return (await look(context, queue))?.messages ?? 0
}
