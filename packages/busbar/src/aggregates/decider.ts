import type { EventOf, NewEventOf } from '../eventstore/index.ts'
import type { ContractLike, Message, MessageOf } from '../message/index.ts'

/** No events, one or several. Nothing decided: nothing is appended. */
export type Decided<New> = New | readonly New[] | Promise<New | readonly New[]>

/**
 * An aggregate as functions without side effects: what a command makes happen, and what becomes of the state by what has happened.
 *
 * `Event` is what is read, `New` the same as it is created; they differ where a schema transforms.
 */
export interface Decider<Command, Event extends Message, New extends Message, State> {
  /** The contracts of its events, where they were given: any other type is unknown to it. */
  readonly events?: readonly ContractLike[] | undefined
  /** The state before the first event. */
  initial(): State
  /** What happens. May throw, may be asynchronous, and may run again after a conflict: it changes nothing itself. */
  decide(command: Command, state: State): Decided<New>
  /** The state after an event. Neither throws nor asks anybody; returns a new state. */
  evolve(state: State, event: Event): State
  /** Whether it has come to its end: then commands are refused. Default: never. */
  isTerminal?(state: State): boolean
}

interface Functions<Command, Event, New, State> {
  readonly initial: () => State
  readonly decide: (command: Command, state: State) => Decided<New>
  readonly evolve: (state: State, event: Event) => State
  readonly isTerminal?: (state: State) => boolean
}

/**
 * Declares an aggregate. With the contracts of its commands and events everything is inferred; what has no contracts says its types
 * where the parameters stand.
 *
 * @example
 * const Order = decider({
 *   commands: [PlaceOrder, PayOrder],
 *   events: [OrderPlaced, OrderPaid],
 *   initial: (): Order => ({ status: 'new' }),
 *   decide: (command, state) => …,
 *   evolve: (state, event) => …,
 * })
 */
export function decider<Command, Event extends Message, State>(
  spec: { readonly commands?: never; readonly events?: never } & Functions<Command, Event, Event, State>,
): Decider<Command, Event, Event, State>
export function decider<Command, const E extends ContractLike, State>(
  spec: { readonly commands?: never; readonly events: readonly E[] } & Functions<
    Command,
    EventOf<E>,
    NewEventOf<E>,
    State
  >,
): Decider<Command, EventOf<E>, NewEventOf<E>, State>
// The last one, because its errors are shown.
export function decider<const C extends ContractLike, const E extends ContractLike, State>(
  spec: { readonly commands: readonly C[]; readonly events: readonly E[] } & Functions<
    MessageOf<C>,
    EventOf<E>,
    NewEventOf<E>,
    State
  >,
): Decider<MessageOf<C>, EventOf<E>, NewEventOf<E>, State>
export function decider(
  spec: { readonly events?: readonly ContractLike[] } & Functions<never, never, Message, unknown>,
): Decider<never, never, Message, unknown> {
  return spec
}
