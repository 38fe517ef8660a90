import type { BrokerMetrics, GroupMetrics, TopicMetrics } from '../broker/index.ts'
import { asideFrom } from './asides.ts'
import type { NatsContext } from './context.ts'
import { type CursorState, decode } from './cursor.ts'
import { scan } from './follower.ts'
import { fromToken } from './names.ts'
import type { OpenItem } from './open-list.ts'
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
  const topics = await context.topology.all()
  const sums = await readCursors(context)
  const [due, letters] = await Promise.all([findDue(context), countLetters(context)])
  const byName = new Map(topics.map((topic) => [topic.name, topic]))
  const groups = await Promise.all(
    [...sums.values()].map(async ({ group, topic, cursors }): Promise<GroupMetrics> => {
      const place = placeOf(group, topic)
      const open = cursors.flatMap(({ state }) => state.open)
      const unread = await unreadOf(context, byName.get(topic), cursors)
      const { waiting, notes } = setAside(due.get(place) ?? new Set(), open)
      const { dead, parked } = letters.get(place) ?? { dead: 0, parked: 0 }
      return {
        group,
        topic,
        lag: unread + open.length + waiting,
        inFlight: inFlight(group, topic),
        redelivering: waiting,
        parked: Math.max(0, parked - notes),
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

/** One by one: of what is replaced while it is read, a scan would miss both the old and the new. */
async function readCursors({ jsm, names }: NatsContext): Promise<Map<string, Sum>> {
  const { state } = await jsm.streams.info(names.state, { subjects_filter: names.allCursors })
  const sums = new Map<string, Sum>()
  const read = async (subject: string): Promise<void> => {
    const stored = await jsm.streams.getMessage(names.state, { last_by_subj: subject })
    if (stored === null) return
    const [group = '', , topic = '', partition = ''] = names.tokens(subject)
    const place = placeOf(fromToken(group), fromToken(topic))
    const sum = sums.get(place) ?? { group: fromToken(group), topic: fromToken(topic), cursors: [] }
    sums.set(place, sum)
    sum.cursors.push({ partition: Number(partition), state: decode(stored.string()) })
  }
  await Promise.all(Object.keys(state.subjects ?? {}).map(read))
  return sums
}

function placeOf(group: string, topic: string): string {
  return `${group}\0${topic}`
}

/** Of what is set aside: how many wait for their time, and how many parked ones are out. */
function setAside(due: ReadonlySet<number>, open: readonly OpenItem[]): { waiting: number; notes: number } {
  const out = open.filter(({ entry }) => entry !== undefined)
  const handed = out.filter(({ seq }) => due.has(seq)).length
  return { waiting: due.size - handed, notes: out.length - handed }
}

/** Sequences of what is set aside whole, by group and topic: not the notes of parked messages and dead letters. */
async function findDue(context: NatsContext): Promise<Map<string, Set<number>>> {
  const { names } = context
  const found = new Map<string, Set<number>>()
  await scan(context, { stream: names.aside, filter: `${names.prefix}.aside.>`, headersOnly: true }, (message) => {
    const aside = asideFrom(message)
    if (aside === undefined || aside.state !== undefined) return
    const [group = '', topic = ''] = names.tokens(message.subject)
    const place = placeOf(fromToken(group), fromToken(topic))
    const due = found.get(place) ?? new Set()
    found.set(place, due.add(aside.seq))
  })
  return found
}

/** Letters by group and topic. */
async function countLetters({ jsm, names }: NatsContext): Promise<Map<string, { dead: number; parked: number }>> {
  const { state } = await jsm.streams.info(names.dead, { subjects_filter: `${names.prefix}.dead.>` })
  const counts = new Map<string, { dead: number; parked: number }>()
  for (const [subject, count] of Object.entries(state.subjects ?? {})) {
    const [group = '', topic = '', , parked] = names.tokens(subject)
    const place = placeOf(fromToken(group), fromToken(topic))
    const sum = counts.get(place) ?? { dead: 0, parked: 0 }
    counts.set(place, sum)
    if (parked === undefined) sum.dead += count
    else sum.parked += count
  }
  return counts
}
