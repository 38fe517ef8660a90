import type { EventStore } from '../eventstore/index.ts'
import type { Message } from '../message/index.ts'
import { type AggregateClass, AggregateRepository } from './aggregate-repository.ts'
import type { AggregateRoot } from './aggregate-root.ts'
import { DeciderRepository } from './decider-repository.ts'
import type { Decider } from './decider.ts'
import type { RepositoryOptions } from './repository.ts'

/**
 * A repository of aggregates in either style: a decider, or a class that extends `AggregateRoot`.
 *
 * @example
 * const orders = repository(store, Order, { category: 'order', snapshots: true })
 * await orders.handle('42', PlaceOrder.create({ total: 5 }))
 * @throws ConfigurationError naming the option.
 */
export function repository<Command, Event extends Message, New extends Message, State>(
  store: EventStore,
  decider: Decider<Command, Event, New, State>,
  options: RepositoryOptions<State>,
): DeciderRepository<Command, State>
export function repository<A extends AggregateRoot>(
  store: EventStore,
  aggregate: AggregateClass<A>,
  options: RepositoryOptions<A>,
): AggregateRepository<A>
export function repository(
  store: EventStore,
  aggregate: Decider<never, never, Message, unknown> | AggregateClass<AggregateRoot>,
  options: RepositoryOptions<never>,
): DeciderRepository<never, unknown> | AggregateRepository<AggregateRoot> {
  if (typeof aggregate === 'function') {
    return new AggregateRepository(store, aggregate, options as RepositoryOptions<AggregateRoot>)
  }
  return new DeciderRepository(store, aggregate, options as RepositoryOptions<unknown>)
}
