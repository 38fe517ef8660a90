import type { Codec } from '../message/codec.ts'
import type { Definition } from '../message/definition.ts'
import { BusbarError, EncodeError } from '../message/errors.ts'
import { open } from '../message/inbound.ts'
import type { EncodedMessage, Message } from '../message/message.ts'
import { prepare } from '../message/outbound.ts'
import { type Difference, differences, valueAt } from './differences.ts'

/** Data would not come back from a wire as it was published. `path` says where; nothing was sent. */
export class RoundTripError extends EncodeError {
  override readonly name: string = 'RoundTripError'
}

/**
 * What a consumer on the other end of a wire would get of `message`: encoded and decoded, with the checks of its contract.
 * Synchronous wherever the schema is, so that no publish overtakes another because of it.
 *
 * @throws RoundTripError where that is not what was published. A `Date` under JSON is none if the contract's schema
 *   makes a Date of its text again.
 * @throws ValidationError, EncodeError, MessageTooLargeError as publishing over a wire would.
 */
export function roundTrip(
  message: Message,
  definition: Definition | undefined,
  codec: Codec,
): Message | Promise<Message> {
  const prepared = prepare(message, definition, { codec, inProcess: false, maxBytes: Infinity })
  return after(prepared, (wire) =>
    after(reopened(wire, definition, codec), (back) => compared(message, wire, back, definition, codec)),
  )
}

function compared(
  message: Message,
  wire: EncodedMessage,
  back: Message,
  definition: Definition | undefined,
  codec: Codec,
): Message | Promise<Message> {
  // Without a contract nothing is asked but the codec.
  return after(open(wire, undefined, codec), (plain) => {
    const changed = differences(message.data, plain.data)
    if (changed.length === 0) return back
    // The schema may put right what the codec changed: then what it makes of both is the same.
    return after(outputOf(message, definition), (meant) => {
      const lost = changed.filter(
        ({ keys }) => meant === undefined || differs(valueAt(meant.data, keys), valueAt(back.data, keys)),
      )
      if (lost.length > 0) throw lossOf(message, lost)
      return back
    })
  })
}

function lossOf({ type }: Message, lost: readonly Difference[]): RoundTripError {
  const { before, after: back, path } = lost[0] as Difference
  const where = lost.map((difference) => (difference.path === '' ? 'the data' : difference.path)).join(', ')
  return new RoundTripError(
    `${type} would not come back from a wire as it was published: ${where} ` +
      `(published as ${kindOf(before)}, back as ${kindOf(back)}). ${advice(before)}`,
    path,
  )
}

function reopened(wire: EncodedMessage, definition: Definition | undefined, codec: Codec): Message | Promise<Message> {
  const refused = (error: unknown): never => {
    if (!(error instanceof BusbarError)) throw error
    throw new RoundTripError(`${wire.type} would be refused when it comes back from a wire: ${error.message}`, '')
  }
  try {
    const back = open(wire, definition, codec)
    return back instanceof Promise ? back.catch(refused) : back
  } catch (error) {
    return refused(error)
  }
}

/** What the contract's schema makes of the data as it was published; undefined without one. */
function outputOf(
  { version, data }: Message,
  definition: Definition | undefined,
): { data: unknown } | undefined | Promise<{ data: unknown } | undefined> {
  if (definition?.validate === undefined) return undefined
  const current = version === definition.version ? data : definition.upcast(data, version)
  return after(definition.validate(current), (outcome) => ('data' in outcome ? outcome : undefined))
}

function after<T, R>(value: T | Promise<T>, use: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(use) : use(value)
}

function differs(before: unknown, after: unknown): boolean {
  return differences(before, after).length > 0
}

function kindOf(value: unknown): string {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value
  const made: unknown = value.constructor
  return typeof made === 'function' && made.name !== '' ? made.name : 'an object'
}

function advice(before: unknown): string {
  if (before instanceof Date)
    return `Say Date in the contract's schema, send its text, or give the bus the RichJsonCodec`
  return 'Send something that the codec carries, or give the bus another codec'
}
