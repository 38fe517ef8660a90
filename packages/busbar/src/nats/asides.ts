import type { JsMsg, StoredMsg } from '@nats-io/jetstream'
import type { EncodedMessage } from '../message/message.ts'
import type { NatsContext } from './context.ts'
import { isWrongSequence } from './cursor.ts'
import type { Topic } from './topology.ts'
import { fromWire, headerOf, sizeOf, toWire } from './wire.ts'

const INFO = 'busbar-aside'
/** Bytes that it takes at most, nearly always far less. */
const INFO_ROOM = 4_096

/**
 * Messages that left the line of one group, whole, to be handed out again. Each is one subject of a stream that keeps the
 * last message of a subject, so a redelivery replaces the one before it; it is deleted when it is settled.
 *
 * Where failed keys park, one that is in the dead letters leaves a note here, which holds up those behind it in its lane
 * until a redrive or a discard replaces the note.
 */
export interface Aside {
  /** Names it within its partition: `l42` for what was at 42 in the log. */
  readonly entry: string
  /** Unix milliseconds. */
  readonly due: number
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  /** Where it was first, for people. */
  readonly place: string
  /** Key whose messages are not to pass each other; undefined: it holds up nothing. */
  readonly lane?: string
  /** Sequence that it had in the log: its place in the lane. */
  readonly origin?: number
  /**
   * `parked` and `dead`: the message itself is in the dead letters. `discarded`: it is gone, and its owner deletes this note.
   * Absent: the message is here.
   */
  readonly state?: 'parked' | 'dead' | 'discarded'
  /** Its body is there, because it leaves no room for our headers beside it: only what another program wrote is so large. */
  readonly source?: Source
  /** It is, or was, parked: the letter of that time is to be removed when it is settled. */
  readonly letter?: true
}

/** A message in a stream. */
export interface Source {
  readonly stream: string
  readonly seq: number
}

/** One that is known, with where it is stored now. */
export interface KnownAside extends Aside {
  readonly seq: number
}

/** The partition of a group. */
export interface AsidePlace {
  readonly group: string
  readonly topic: string
  readonly partition: number
}

export class Asides {
  private readonly context: NatsContext

  constructor(context: NatsContext) {
    this.context = context
  }

  /** For one group alone, as a publish or a redrive. `once`: a second call with the same text stores nothing and says false. */
  async publish(
    group: string,
    topic: Topic,
    partition: number,
    message: EncodedMessage,
    due: number,
    { once, ...from }: { readonly once?: string; readonly source?: Source } = {},
  ): Promise<boolean> {
    const entry = `g${crypto.randomUUID()}`
    const aside = { entry, due, attempts: 0, redeliveries: 0, crashes: 0, place: `${partition}@-`, ...from }
    return (await this.store({ group, topic: topic.name, partition }, message, aside, once)) !== undefined
  }

  /** Resolves to its sequence once it is safe; undefined where `once` was stored before. Without a message it is a note. */
  async store(
    at: AsidePlace,
    message: EncodedMessage | undefined,
    aside: Aside,
    once?: string,
  ): Promise<number | undefined> {
    const { subject, headers, data } = this.prepare(at, message, aside)
    const ack = await this.context.js.publish(subject, data, {
      headers,
      ...(once === undefined ? {} : { msgID: once }),
    })
    return ack.duplicate ? undefined : ack.seq
  }

  /**
   * The same in place of `before`, if that is still what is stored (0: nothing; undefined: whatever it is). Where somebody has
   * replaced it, by a redrive or a discard, that stays. Resolves to what is stored now.
   */
  async replace(
    at: AsidePlace,
    message: EncodedMessage | undefined,
    aside: Aside,
    before: number | undefined,
  ): Promise<KnownAside | undefined> {
    const { subject, headers, data, kept } = this.prepare(at, message, aside)
    try {
      const { seq } = await this.context.js.publish(subject, data, {
        headers,
        ...(before === undefined ? {} : { expect: { lastSubjectSequence: before } }),
      })
      return { ...kept, seq }
    } catch (error) {
      if (!isWrongSequence(error)) throw error
      const { jsm, names } = this.context
      const stored = await jsm.streams.getMessage(names.aside, { last_by_subj: subject })
      return stored === null ? undefined : asideFrom(stored)
    }
  }

  /** The message behind it; undefined where it is gone. */
  async read(at: AsidePlace, { entry, seq, state, source }: KnownAside): Promise<EncodedMessage | undefined> {
    const { jsm, names } = this.context
    const { streams } = jsm
    const stored =
      state === 'parked'
        ? await streams.getMessage(names.dead, { last_by_subj: names.parked(at.group, at.topic, at.partition, entry) })
        : await streams.getMessage(source?.stream ?? names.aside, { seq: source?.seq ?? seq })
    return stored === null ? undefined : fromWire(stored.header, stored.data)
  }

  /** False: it was gone already. */
  remove(seq: number): Promise<boolean> {
    return removed(this.context, this.context.names.aside, seq)
  }

  private prepare(at: AsidePlace, message: EncodedMessage | undefined, aside: Aside) {
    const { names, headers, nc } = this.context
    const subject = names.asideEntry(at.group, at.topic, at.partition, aside.entry)
    const { source, ...without } = aside
    const wire = message === undefined ? { headers: headers(), data: '' } : toWire(message, headers)
    const whole = sizeOf(wire) + INFO_ROOM <= (nc.info?.max_payload ?? Infinity)
    const kept = whole || source === undefined ? without : { ...without, source }
    const { entry: _, ...info } = kept
    wire.headers.append(INFO, encodeURIComponent(JSON.stringify(info)))
    return { subject, headers: wire.headers, data: kept === without ? wire.data : '', kept }
  }
}

/** Undefined: it is none. */
export function asideFrom(message: JsMsg | StoredMsg): KnownAside | undefined {
  const entry = message.subject.split('.').at(-1)
  const text = headerOf('headers' in message ? message.headers : message.header, INFO)
  if (entry === undefined || text === '') return undefined
  return { ...(JSON.parse(decodeURIComponent(text)) as Omit<Aside, 'entry'>), entry, seq: message.seq }
}

/** Deletes one message of a stream. False: it was gone already. */
export async function removed(context: NatsContext, stream: string, seq: number): Promise<boolean> {
  try {
    return await context.jsm.streams.deleteMessage(stream, seq, false)
  } catch (error) {
    const { code } = error as { code?: unknown }
    // 10057: message delete failed (no message found), 10037: no message found, 10043: not found.
    if (
      code === 10057 ||
      code === 10037 ||
      code === 10043 ||
      /not found|no message|could not find/i.test(String(error))
    )
      return false
    throw error
  }
}
