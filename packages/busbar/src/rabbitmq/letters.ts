import type { ConsumeMessage } from 'amqplib'
import type { DeadLetter } from '../broker/index.ts'
import { uuidv7 } from '../message/uuid.ts'
import { foreign, fromWire, toWire } from './wire.ts'

const LETTER = 'busbar-letter'
/** Bytes of an error's text and of its stack that are kept: they travel in a header. */
const TEXT = 2_000
const STACK = 6_000

/** What a letter is beside its message. */
type Rest = Omit<DeadLetter, 'message'>

/** Letters sort by their ids, oldest first, over all groups; the id also tells the group. */
export function newLetterId(group: string): string {
  return `${uuidv7()}@${group}`
}

/** Undefined: no id of a letter. */
export function groupOf(id: string): string | undefined {
  return id[36] === '@' ? id.slice(37) : undefined
}

export function letterToWire(letter: DeadLetter) {
  const { message, ...rest } = letter
  const { content, options } = toWire(message)
  const { error } = rest.failure
  const { stack } = error
  const kept = {
    ...error,
    message: cut(error.message, TEXT),
    ...(stack === undefined ? {} : { stack: cut(stack, STACK) }),
  }
  const header = JSON.stringify({ ...rest, failure: { ...rest.failure, error: kept } })
  return { content, options: { ...options, headers: { ...options.headers, [LETTER]: header } } }
}

/** Undefined: somebody else's message. */
export function letterFromWire(received: ConsumeMessage): DeadLetter | undefined {
  const text: unknown = received.properties.headers?.[LETTER]
  if (typeof text !== 'string') return undefined
  try {
    const rest = JSON.parse(text) as Rest
    return { ...rest, message: messageOf(received, rest) }
  } catch {
    return undefined
  }
}

function messageOf(received: ConsumeMessage, { topic, position }: Rest): DeadLetter['message'] {
  try {
    return fromWire(received)
  } catch {
    return foreign(topic, position, received.content)
  }
}

/** At most so many bytes, whole characters only. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString('utf8')
    .replace(/\uFFFD$/, '')
}
