import type { JsMsg, StoredMsg } from '@nats-io/jetstream'
import type { MsgHdrs } from '@nats-io/transport-node'
import type { DeadLetter, Failure } from '../broker/index.ts'
import type { Aside, Source } from './asides.ts'
import { fromToken, type Names } from './names.ts'
import { fromWire, headerOf } from './wire.ts'

const LETTER = 'busbar-letter'
/** Characters of a stack that are kept. */
const STACK = 8_000
/** Bytes of the header with what it says, at most. */
export const LETTER_ROOM = 14_100
const ROOM = LETTER_ROOM - 100

/** The note that holds up the lane of a letter's message, and where it is. */
export interface Held {
  readonly partition: number
  readonly note: Omit<Aside, 'due'>
}

export type NewLetter = Omit<DeadLetter, 'id'>

/** What is kept with a letter beside what it says. */
export interface Beside {
  readonly held?: Held
  /** Where its body is, when there is no room for it beside the headers. */
  readonly source?: Source | undefined
}

export interface StoredLetter extends Beside {
  readonly letter: DeadLetter
}

type About = Pick<NewLetter, 'position' | 'redeliveries' | 'failure'> & Beside

/** Adds what a letter says beside its message. */
export function describe(headers: MsgHdrs, { position, redeliveries, failure }: NewLetter, beside: Beside): void {
  headers.append(LETTER, fitting({ position, redeliveries, ...beside }, failure))
}

/** `body`: that of its source, where it has one. Undefined: no letter. */
export function letterFrom(
  names: Names,
  stored: JsMsg | StoredMsg,
  body: Uint8Array = stored.data,
): StoredLetter | undefined {
  const headers = 'headers' in stored ? stored.headers : stored.header
  const text = headerOf(headers, LETTER)
  if (text === '') return undefined
  const [group = '', topic = ''] = names.tokens(stored.subject)
  const { held, source, ...rest } = JSON.parse(decodeURIComponent(text)) as About
  const message = fromWire(headers, body)
  const letter = { id: String(stored.seq), group: fromToken(group), topic: fromToken(topic), message, ...rest }
  return { letter, source, ...(held === undefined ? {} : { held }) }
}

/** It travels in a header, so what is too long is cut: first the stack, then the text of the error. */
function fitting(about: Omit<About, 'failure'>, failure: Failure): string {
  const { name, message, stack } = failure.error
  for (let most = STACK; ; most = Math.floor(most / 2)) {
    const error = {
      name: name.slice(0, 200),
      message: message.slice(0, Math.max(most, 100)),
      ...(stack === undefined ? {} : { stack: stack.slice(0, most) }),
    }
    const text = encodeURIComponent(JSON.stringify({ ...about, failure: { ...failure, error } }))
    if (text.length <= ROOM || most === 0) return text
  }
}
