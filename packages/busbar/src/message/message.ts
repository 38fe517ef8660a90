/**
 * The envelope: what every message is made of, whatever carries it.
 *
 * On every wire a message is a CloudEvents 1.0 event (see `cloudevents.ts` for the names).
 */

/** What a message is for: an event is published to many, a command or query goes to one, a reply answers. */
export type MessageKind = 'event' | 'command' | 'query' | 'reply'

/**
 * Headers that travel with a message. Values are strings, so that every broker can carry them.
 * Names are lower-cased on some wires; use camelCase names of the list or lower-case names of your own.
 */
export interface Metadata {
  /** Shared by everything that one first cause set off. Default: the id of the first message. */
  readonly correlationId: string
  /** Id of the message during whose handling this one was published. */
  readonly causationId?: string | undefined
  readonly userId?: string | undefined
  readonly tenantId?: string | undefined
  /** W3C trace context. */
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
  readonly [header: string]: string | undefined
}

/** Priorities, by name. A higher one is handled sooner; ageing keeps the lower ones from starving. */
export type Priority = 'low' | 'normal' | 'high' | 'critical'

/** The same priorities as values, for people who like an enum: `EventPriority.HIGH`. */
export const EventPriority = {
  LOW: 'low',
  NORMAL: 'normal',
  HIGH: 'high',
  CRITICAL: 'critical',
} as const satisfies Record<string, Priority>
export type EventPriority = Priority

/** Everything of a message but its data. */
export interface Attributes {
  /** UUIDv7, made once and kept through every retry, redelivery, redrive and bridge. */
  readonly id: string
  /** Declared name of the message, for example `OrderPlaced`. */
  readonly type: string
  readonly kind: MessageKind
  /** The application that published it. */
  readonly source: string
  /** The aggregate or stream that it is about. */
  readonly subject?: string | undefined
  /** Order is kept among messages with the same key. Default: `subject`. Without either, no order is promised. */
  readonly key?: string | undefined
  /** When it happened. */
  readonly time: Date
  /** Version of the data's schema (not the revision of a stream). */
  readonly version: number
  /** Revision of the aggregate (its place in its stream) that this event made, where there is one. */
  readonly revision?: number | undefined
  readonly priority?: Priority | undefined
  readonly metadata: Metadata
}

/** A message as handlers and publishers see it. Immutable: middleware that changes one returns a new one. */
export interface Message<D = unknown> extends Attributes {
  readonly data: D
}

/**
 * What a codec makes of a message's data.
 *
 * - `string`: text (JSON),
 * - `Uint8Array`: bytes,
 * - `Snapshot`: a private copy that never leaves the process; only for a broker whose capabilities say `inProcess`.
 */
export type Body = string | Uint8Array | Snapshot

/** Data copied once at publish, so that no handler ever holds the publisher's object. Copied again for each delivery. */
export class Snapshot {
  readonly value: unknown
  constructor(value: unknown) {
    this.value = value
  }
}

/** A message as a broker carries it: attributes beside an encoded body. A broker never looks into the body. */
export interface EncodedMessage extends Attributes {
  /** Media type of the body, for example `application/json`. */
  readonly contentType: string
  readonly body: Body
}
