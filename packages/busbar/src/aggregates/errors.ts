import { BusbarError } from '../message/index.ts'

/** There is no such aggregate: its stream has no events (yet, or at the moment that was asked for), or was deleted. */
export class AggregateNotFoundError extends BusbarError {
  override readonly name: string = 'AggregateNotFoundError'
  readonly category: string
  readonly id: string
  readonly deleted: boolean

  constructor(category: string, id: string, deleted: boolean) {
    super(
      deleted
        ? `${category} '${id}' was deleted`
        : `${category} '${id}' does not exist: check the id, or use find() where it may be missing`,
    )
    this.category = category
    this.id = id
    this.deleted = deleted
  }
}

/** The aggregate has come to its end (`isTerminal`): it takes no more commands. */
export class AggregateEndedError extends BusbarError {
  override readonly name: string = 'AggregateEndedError'
  readonly category: string
  readonly id: string

  constructor(category: string, id: string) {
    super(`${category} '${id}' has come to its end and takes no more commands: begin another one`)
    this.category = category
    this.id = id
  }
}

/** Events that a state is made of were trimmed, and no snapshot can stand in for them: there is no right state to give. */
export class HistoryTrimmedError extends BusbarError {
  override readonly name: string = 'HistoryTrimmedError'
  readonly stream: string
  /** The first revision that is still there. */
  readonly first: number

  constructor(stream: string, first: number, needed: number) {
    super(
      `the state of stream '${stream}' needs its events from revision ${needed} on, and those before ${first} were trimmed: ask for a later ` +
        'revision or time, or give the repository the upcasters that lead from the version of the snapshot',
    )
    this.stream = stream
    this.first = first
  }
}
