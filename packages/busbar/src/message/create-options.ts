import type { Metadata, Priority } from './message.ts'

/** What may be said of a new message beside its data and metadata. */
export interface CreateOptions {
  /** Default: a new UUIDv7. Give one to make a repeated publish recognisable as the same message. */
  readonly id?: string
  /** Aggregate or stream id. Default: the contract's `subject(data)`. */
  readonly subject?: string
  /** Order is kept among messages with the same key. Default: the contract's `key(data)`, else the subject. */
  readonly key?: string
  /** When it happened. Default: now. */
  readonly time?: Date
  /** Revision of the aggregate that this event makes. */
  readonly revision?: number
  /** Default: the contract's. */
  readonly priority?: Priority
  /** Default: the source of the bus that publishes it. */
  readonly source?: string
}

/**
 * Headers of a new message. What has a place of its own in the envelope is not among them: `create(data, { key })` would
 * make a header that nobody looks at, so it does not compile; `create(data, {}, { key })` is meant.
 */
export type CreateMetadata = Partial<Metadata> & { readonly [Name in keyof CreateOptions]?: never }
