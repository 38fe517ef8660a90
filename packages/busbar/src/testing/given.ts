import assert from 'node:assert/strict'

import { type AggregateRoot, type AggregateClass, type Decider, repository } from '../aggregates/index.ts'
import { EventStore } from '../eventstore/index.ts'
import { MemoryEventStorage } from '../memory/index.ts'
import type { Codec, Message } from '../message/index.ts'

/** What comes of a command: events, compared by type and data, or an error: its class, a part of its text, or one that is like it. */
export type Outcome<New> = New | readonly New[] | Error | RegExp | ErrorClass

type ErrorClass = abstract new (...args: never[]) => Error

/** What has happened. Say next what is asked of it. */
export interface Given<Command, New> {
  /** A command for a decider; for a class what is done with the object. */
  when(command: Command): When<New>
}

/** What is asked. Say next what comes of it. */
export interface When<New> {
  /** `[]`: nothing happens. Rejects with an AssertionError that shows the difference. */
  then(outcome: Outcome<New>): Promise<void>
}

export interface GivenOptions {
  /** Default `1`. */
  readonly id?: string
  /** Default: `JsonCodec`. */
  readonly codec?: Codec
}

/**
 * Tests an aggregate: events that have happened, a command, what comes of it. All of it passes a real store and repository in memory, so
 * that each event is validated and is seen as it will be read.
 *
 * @example
 * await given(Order, [OrderPlaced.create({ total: 5 })]).when(PayOrder.create({})).then([OrderPaid.create({ amount: 5 })])
 * await given(Order, []).when(PayOrder.create({})).then(/not placed/)
 */
export function given<Command, Event extends Message, New extends Message, State>(
  decider: Decider<Command, Event, New, State>,
  events: readonly New[],
  options?: GivenOptions,
): Given<Command, New>
export function given<A extends AggregateRoot>(
  aggregate: AggregateClass<A>,
  events: readonly Message[],
  options?: GivenOptions,
): Given<(aggregate: A) => unknown, Message>
export function given(
  aggregate: Decider<never, never, Message, unknown> | AggregateClass<AggregateRoot>,
  events: readonly Message[],
  { id = '1', codec }: GivenOptions = {},
): Given<never, Message> {
  return {
    when: (command) => ({
      // oxlint-disable-next-line unicorn/no-thenable -- given, when, then: these are the words
      async then(outcome: Outcome<Message>, rejected?: unknown): Promise<void> {
        // Awaited without being asked.
        if (typeof rejected === 'function') {
          rejected(new assert.AssertionError({ message: 'say what comes of it: given(…).when(…).then(…)' }))
          return
        }
        const store = new EventStore(new MemoryEventStorage(), codec === undefined ? {} : { codec })
        const own = repository(store, aggregate as AggregateClass<AggregateRoot>, { category: 'given' })
        if (events.length > 0) await store.append(own.stream(id), events)
        const happened = await own.handle(id, command).then(
          (handled) => handled.events,
          (error: unknown) => new Thrown(error),
        )
        await compare(store, happened, outcome)
      },
    }),
  }
}

class Thrown {
  readonly error: unknown
  constructor(error: unknown) {
    this.error = error
  }
}

async function compare(
  store: EventStore,
  happened: readonly Message[] | Thrown,
  outcome: Outcome<Message>,
): Promise<void> {
  if (isError(outcome)) {
    if (happened instanceof Thrown) return compareErrors(happened.error, outcome)
    const types = happened.map(({ type }) => type).join(', ')
    assert.fail(`expected ${errorText(outcome)}, and it was not refused: ${types === '' ? 'nothing' : types} happened`)
  }
  // What went wrong says more about itself than any comparison.
  if (happened instanceof Thrown) throw happened.error
  const expected: readonly Message[] = Array.isArray(outcome) ? (outcome as readonly Message[]) : [outcome as Message]
  assert.deepStrictEqual(await asRead(store, happened), await asRead(store, expected))
}

/** Type and data, as readers get them: what a schema adds by default need not be said. */
async function asRead(store: EventStore, events: readonly Message[]): Promise<readonly object[]> {
  if (events.length === 0) return []
  const { events: read } = await store.prepare('then-1', events)
  return read.map(({ type, data }) => ({ type, data }))
}

function isError(outcome: Outcome<Message>): outcome is Error | RegExp | ErrorClass {
  return outcome instanceof Error || outcome instanceof RegExp || typeof outcome === 'function'
}

function compareErrors(thrown: unknown, expected: Error | RegExp | ErrorClass): void {
  const shown = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  const isAsExpected =
    expected instanceof RegExp
      ? expected.test(text)
      : typeof expected === 'function'
        ? thrown instanceof expected
        : thrown instanceof Error && thrown.name === expected.name && thrown.message === expected.message
  if (isAsExpected) return
  throw new assert.AssertionError({
    message: `expected ${errorText(expected)}, and it was refused with ${shown}`,
    actual: shown,
    expected: errorText(expected),
  })
}

function errorText(expected: Error | RegExp | ErrorClass): string {
  if (expected instanceof RegExp) return `an error with ${String(expected)}`
  return typeof expected === 'function' ? `a ${expected.name}` : `${expected.name}: ${expected.message}`
}
