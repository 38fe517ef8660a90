import { type Outgoing, UnsupportedError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { NewEvent } from '../store/index.ts'

/** The events of one stream in an append, and where in the batch they are. */
export interface StreamPart {
  readonly events: NewEvent[]
  readonly indexes: number[]
}

/**
 * Sorts the events of a batch into appends, each of several streams. Usually one does. Where order is kept by another key than the stream,
 * an event never comes before one of another stream that was published before it: then a stream that comes again begins a new append.
 */
export class Runs {
  readonly all: Map<string, StreamPart>[] = []
  #keepsOrder = false
  #last: string | undefined

  /** @throws ConfigurationError without a subject, UnsupportedError for a delay. */
  add({ topic, message, deliverAt }: Outgoing, index: number): void {
    const { type, id, subject, key } = message
    if (subject === undefined || subject === '') {
      throw new ConfigurationError(
        `${type} ${id} is to be kept in the event store and has no subject, so it is not known in which stream: give its contract a subject`,
      )
    }
    if (deliverAt !== undefined) {
      throw new UnsupportedError(
        `${type} ${id} is kept in the event store, which has no delay: publish it when it has happened, or leave it out of shouldPersist`,
      )
    }
    this.#keepsOrder ||= key !== undefined && key !== subject
    let run = this.all.at(-1)
    const isBack = run?.has(subject) === true && this.#last !== subject
    if (run === undefined || (this.#keepsOrder && isBack)) this.all.push((run = new Map<string, StreamPart>()))
    const part = run.get(subject) ?? { events: [], indexes: [] }
    part.events.push({ topic, message })
    part.indexes.push(index)
    run.set(subject, part)
    this.#last = subject
  }
}
