import type { JsMsg, StoredMsg } from '@nats-io/jetstream'
import type { MsgHdrs } from '@nats-io/transport-node'
import type { DeadLetter, Failure } from '../broker/index.ts'
import type { Aside } from './asides.ts'
import { fromToken, type Names } from './names.ts'
import { fromWire, headerOf } from './wire.ts'

const LETTER = 'busbar-letter'
/** Characters of a stack that are kept. */
const STACK = 8_000
/** Characters of the header: the room that is left beside a message of the largest size. */
const ROOM = 14_000

/** The note that holds up the lane of a letter's message, and where it is. */
export interface Held {
  readonly partition: number
  readonly note: Omit<Aside, 'due'>
}

export type NewLetter = Omit<DeadLetter, 'id'>

export interface StoredLetter {
  readonly letter: DeadLetter
  readonly held?: Held
}

type About = Pick<NewLetter, 'position' | 'redeliveries' | 'failure'> & { readonly held?: Held }

/** Adds what a letter says beside its message. */
export function describe(headers: MsgHdrs, { position, redeliveries, failure }: NewLetter, held?: Held): void {
  const about = { position, redeliveries, ...(held === undefined ? {} : { held }) }
  headers.append(LETTER, fitting(about, failure))
}

/** Undefined: no letter. */
export function letterFrom(names: Names, stored: JsMsg | StoredMsg): StoredLetter | undefined {
  const headers = 'headers' in stored ? stored.headers : stored.header
  const text = headerOf(headers, LETTER)
  if (text === '') return undefined
  const [group = '', topic = ''] = names.tokens(stored.subject)
  const { held, ...rest } = JSON.parse(decodeURIComponent(text)) as About
  const message = fromWire(headers, stored.data)
  const letter = { id: String(stored.seq), group: fromToken(group), topic: fromToken(topic), message, ...rest }
  return { letter, ...(held === undefined ? {} : { held }) }
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
