import { performance } from 'node:perf_hooks'
import type { StoredMsg } from '@nats-io/jetstream'
import type { NatsContext } from './context.ts'
import { decodeOpen, encodeOpen, type OpenItem } from './open-list.ts'
import type { Topic } from './topology.ts'
import { fromWire } from './wire.ts'

/** Milliseconds for which a message that was named ahead may be handed out: long after that a write has to show that we still own it. */
const AHEAD = 1_000

/** How far a group has read one partition. `position`: up to where everything was handed out; `open`: what of it is not settled. */
export interface CursorState {
  /** Id of the member that has it; empty: it was given up clean. */
  readonly owner: string
  readonly position: number
  readonly open: readonly OpenItem[]
  /** Id of a message that was about to be published. Where it is the first one after `position`, it may have been handed out, too. */
  readonly ahead?: string | undefined
}

/** Another member has written it. */
export class FencedError extends Error {
  override readonly name: string = 'FencedError'
}

/**
 * The stored cursor of one group and partition. Every write names the revision that it replaces, so what a former owner
 * writes is refused (fencing), and nothing may be handed out that the stored cursor does not name.
 */
export class Cursor {
  private readonly context: NatsContext
  private readonly subject: string
  private revision = 0
  private writes = 0
  /** What is stored names this one ahead. */
  private ahead: { readonly id: string; readonly since: number } | undefined

  constructor(context: NatsContext, subject: string) {
    this.context = context
    this.subject = subject
  }

  /** Undefined: the group has none. */
  async read(): Promise<CursorState | undefined> {
    const stored = await this.context.jsm.streams.getMessage(this.context.names.state, { last_by_subj: this.subject })
    if (stored === null) return undefined
    this.revision = stored.seq
    return decode(stored.string())
  }

  /** @throws FencedError where somebody else has written since; any other error leaves open whether it was stored: call it again. */
  async write(state: CursorState): Promise<void> {
    const { owner, position, open, ahead } = state
    const text = JSON.stringify({ owner, position, open: encodeOpen(open), ahead, write: ++this.writes })
    this.ahead = undefined
    const since = performance.now()
    try {
      const { confirmations, headers } = this.context
      const expected = headers()
      expected.append('Nats-Expected-Last-Subject-Sequence', String(this.revision))
      this.revision = (await confirmations.send(this.subject, text, expected)).seq
    } catch (error) {
      // It may have been sent twice, or the answer been lost: what is stored tells.
      const { names, jsm } = this.context
      const stored = await jsm.streams.getMessage(names.state, { last_by_subj: this.subject })
      if (stored?.seq === this.revision || (stored === null && this.revision === 0)) throw error
      if (stored?.string() !== text || owner === '')
        throw new FencedError(`the cursor ${this.subject} has another owner`)
      this.revision = stored.seq
    }
    if (ahead !== undefined) this.ahead = { id: ahead, since }
  }

  /** What is stored names the message, where that is the first one after its position. Asked once, with the first one that comes. */
  takeAhead(id: string): boolean {
    const { ahead } = this
    this.ahead = undefined
    return ahead?.id === id && performance.now() - ahead.since < AHEAD
  }
}

export function decode(text: string): CursorState {
  const { open, ...state } = JSON.parse(text) as Omit<CursorState, 'open'> & { readonly open: string }
  return { ...state, open: decodeOpen(open) }
}

/** What a member that died may have handed out: also the message that it named ahead, where that is the first one after the position. */
export async function withAhead(
  { jsm }: NatsContext,
  stream: string,
  subject: string,
  state: CursorState,
): Promise<CursorState> {
  const { ahead, position, open, owner } = state
  if (ahead === undefined || owner === '') return state
  // Asked of the leader, which knows all; the types of the client have `next_by_subj` for replicas alone.
  const request = { seq: position + 1, next_by_subj: subject }
  const next = await jsm.streams.getMessage(stream, request)
  if (next === null || idOf(next) !== ahead) return state
  const item: OpenItem = { seq: next.seq, attempts: 0, crashes: 0, suspect: false, started: false }
  return { owner, position: next.seq, open: [...open, item] }
}

function idOf({ header, data }: StoredMsg): string | undefined {
  try {
    return fromWire(header, data).id
  } catch {
    return undefined
  }
}

/** Makes the cursors of a group that a topic has never seen. Where it begins is decided here, once. */
export async function createCursors(
  context: NatsContext,
  group: string,
  topic: Topic,
  from: 'latest' | 'earliest',
): Promise<void> {
  const { js, jsm, names } = context
  const { state } = await jsm.streams.info(topic.stream)
  const position = from === 'earliest' ? 0 : state.last_seq
  const text = JSON.stringify({ owner: '', position, open: '', write: 0 })
  const subjects = Array.from({ length: topic.partitions }, (_, partition) =>
    names.cursor(group, topic.name, partition),
  )
  // Of members that come at once the first to write each one decides; one that is there stays as it is.
  const expect = { lastSubjectSequence: 0 }
  const results = await Promise.allSettled(subjects.map((subject) => js.publish(subject, text, { expect })))
  for (const result of results) {
    if (result.status === 'rejected' && !isWrongSequence(result.reason)) throw result.reason
  }
}

/** The server's refusal of a write that names another revision. */
export function isWrongSequence(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return code === 10071 || code === 10164 || /wrong last sequence/i.test(String(error))
}
