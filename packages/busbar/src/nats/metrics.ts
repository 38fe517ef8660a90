import type { BrokerMetrics, GroupMetrics, TopicMetrics } from '../broker/index.ts'
import type { NatsContext } from './context.ts'
import { type CursorState, decode } from './cursor.ts'
import { scan } from './follower.ts'
import { fromToken } from './names.ts'
import type { Topic } from './topology.ts'

/** Numbers of one group on one topic while they are added up. */
interface Sum {
  readonly group: string
  readonly topic: string
  readonly cursors: { readonly partition: number; readonly state: CursorState }[]
}

/** Reads the numbers of a whole deployment from the server. `inFlight` tells what only this process knows. */
export async function measure(
  context: NatsContext,
  inFlight: (group: string, topic: string) => number,
): Promise<BrokerMetrics> {
  const { names, topology } = context
  const topics = await topology.all()
  const sums = new Map<string, Sum>()
  await scan(context, { stream: names.state, filter: names.allCursors }, (message) => {
    const [group = '', , topic = '', partition = ''] = names.tokens(message.subject)
    const key = `${group}.${topic}`
    const sum = sums.get(key) ?? { group: fromToken(group), topic: fromToken(topic), cursors: [] }
    sums.set(key, sum)
    sum.cursors.push({ partition: Number(partition), state: decode(message.string()) })
  })
  const [asides, letters] = await Promise.all([
    countBySubject(context, names.aside, `${names.prefix}.aside.>`),
    countBySubject(context, names.dead, `${names.prefix}.dead.>`),
  ])
  const byName = new Map(topics.map((topic) => [topic.name, topic]))
  const groups = await Promise.all(
    [...sums.values()].map(async (sum): Promise<GroupMetrics> => {
      const { group, topic, cursors } = sum
      const open = cursors.flatMap(({ state }) => state.open)
      const handed = open.filter(({ entry }) => entry !== undefined).length
      const set = asides.get(`${group}\0${topic}`) ?? 0
      const waiting = Math.max(0, set - handed)
      const unread = await unreadOf(context, byName.get(topic), cursors)
      const dead = letters.get(`${group}\0${topic}`) ?? 0
      return {
        group,
        topic,
        lag: unread + open.length + waiting,
        inFlight: inFlight(group, topic),
        redelivering: waiting,
        parked: 0,
        dead,
      }
    }),
  )
  return { topics: await Promise.all(topics.map((topic) => measureTopic(context, topic))), groups }
}

async function measureTopic(context: NatsContext, { name, stream }: Topic): Promise<TopicMetrics> {
  const filter = context.names.delayed(name, '*', '*')
  const { state } = await context.jsm.streams.info(stream, { subjects_filter: filter })
  return { topic: name, depth: state.messages, delayed: Object.keys(state.subjects ?? {}).length }
}

async function unreadOf(context: NatsContext, topic: Topic | undefined, cursors: Sum['cursors']): Promise<number> {
  if (topic === undefined) return 0
  const counts = await Promise.all(
    cursors.map(({ partition, state }) =>
      pendingAfter(context, topic.stream, context.names.log(topic.name, partition), state.position),
    ),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Messages of a subject after a sequence: what a consumer that begins there would have before it. */
async function pendingAfter({ jsm, nanos }: NatsContext, stream: string, filter: string, seq: number): Promise<number> {
  const info = await jsm.consumers.add(stream, {
    ack_policy: 'none',
    deliver_policy: 'by_start_sequence',
    opt_start_seq: seq + 1,
    filter_subject: filter,
    inactive_threshold: nanos(5_000),
    mem_storage: true,
    num_replicas: 1,
  })
  await jsm.consumers.delete(stream, info.name).catch(() => {})
  return info.num_pending
}

/** Messages by group and topic. */
async function countBySubject(context: NatsContext, stream: string, filter: string): Promise<Map<string, number>> {
  const { state } = await context.jsm.streams.info(stream, { subjects_filter: filter })
  const counts = new Map<string, number>()
  for (const [subject, count] of Object.entries(state.subjects ?? {})) {
    const [group = '', topic = ''] = context.names.tokens(subject)
    const key = `${fromToken(group)}\0${fromToken(topic)}`
    counts.set(key, (counts.get(key) ?? 0) + count)
  }
  return counts
}
