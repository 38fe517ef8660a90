import type { BrokerSubscription, DeadLetterStore, Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { isLater } from '../broker/index.ts'
import { EventBus, silentLogger } from '../bus/index.ts'
import type {
  BusOptions,
  Handler,
  HandlerEntry,
  MessageFor,
  Middleware,
  ResultFor,
  Selector,
  SubscribeOptions,
  Subscription,
} from '../bus/index.ts'
import { isEntries } from '../bus/selection.ts'
import { MemoryBroker, type MemoryBrokerOptions } from '../memory/index.ts'
import { definitionOfMessage } from '../message/contract.ts'
import { JsonCodec } from '../message/json-codec.ts'
import { roundTrip } from './round-trip.ts'
import { type DeadLettered, Spies } from './spies.ts'

export interface TestEventBusOptions extends BusOptions {
  /**
   * Whether every publish checks that what a wire would bring back is what was published. Default true: a test in memory
   * then finds what would break elsewhere.
   */
  readonly roundTrip?: boolean
  /** Largest body in bytes. Default 8 MiB. */
  readonly maxMessageBytes?: number
}

/**
 * A bus in memory that remembers what happened. Its spies are filled while it runs: `await bus.idle()` before looking.
 * Otherwise it is an `EventBus`; its middleware, order and promises are the same.
 */
export class TestEventBus extends EventBus {
  private readonly spies: Spies

  /** Use `createTestEventBus`. */
  constructor(options: BusOptions, broker: WatchedMemoryBroker, spies: Spies, checking: Middleware) {
    super(broker, { ...options, middleware: [...(options.middleware ?? []), checking] })
    this.spies = spies
  }

  /**
   * Events, commands and queries that the broker has confirmed, in that order, as handlers get them: after middleware,
   * with their correlation ids, as decoded and checked by their contract. All, or those of a contract, class, type or
   * pattern.
   */
  published<S extends Selector | readonly Selector[] = string>(selector?: S): readonly MessageFor<S>[] {
    return this.spies.published(selector)
  }

  /** Messages that a handler has handled to the end, once for each group, in the order in which they were done. */
  handled<S extends Selector | readonly Selector[] = string>(
    selector?: S,
    { group }: { readonly group?: string } = {},
  ): readonly MessageFor<S>[] {
    return this.spies.handled(selector, group)
  }

  /** Messages that were dead-lettered, with their failure; also those that were redriven since (see `bus.deadLetters`). */
  deadLettered<S extends Selector | readonly Selector[] = string>(
    selector?: S,
  ): readonly DeadLettered<MessageFor<S>>[] {
    return this.spies.deadLettered(selector)
  }

  /** Forgets what `published`, `handled` and `deadLettered` tell. Subscriptions and `bus.deadLetters` stay as they are. */
  clear(): void {
    this.spies.clear()
  }

  /** As ever inside of what is there; but the check of what is published stays the innermost. */
  override use(...middleware: readonly Middleware[]): this {
    this.middleware.splice(-1, 0, ...middleware)
    return super.use()
  }

  override subscribe(handlers: readonly HandlerEntry[], options?: SubscribeOptions): Promise<Subscription>
  override subscribe<const S extends Selector | readonly Selector[]>(
    selector: S,
    handler: Handler<MessageFor<S>, ResultFor<S>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>
  override subscribe(what: unknown, second?: unknown, third?: SubscribeOptions): Promise<Subscription> {
    if (isEntries(what)) {
      const watched = what.map(({ selector, handler }) => ({ selector, handler: this.spies.watch(handler) }))
      return super.subscribe(watched, second as SubscribeOptions)
    }
    return super.subscribe(what as Selector, this.spies.watch(second as Handler<never>) as Handler, third)
  }
}

/**
 * Makes and starts a bus for tests, in memory: it retries and redelivers at once, says nothing, and remembers what was
 * published, handled and dead-lettered. Stopped by `await using`, or `stop()`.
 *
 * @param options Those of a bus, with other defaults: retries and redeliveries after 0 ms (3 of each), `silentLogger`, a stop
 *   deadline of 1000 ms. A `clock` is also the broker's.
 * @example
 * await using bus = await createTestEventBus()
 * await bus.register(new Billing())
 * await bus.publish(OrderPlaced.create({ orderId: 'o-1' }))
 * await bus.idle()
 * expect(bus.published(InvoiceSent)).toHaveLength(1)
 */
export async function createTestEventBus(options: TestEventBusOptions = {}): Promise<TestEventBus> {
  const { roundTrip: checks = true, maxMessageBytes, ...given } = options
  const spies = new Spies()
  const { clock, codec = new JsonCodec(), deadLetters } = given
  const broker = new WatchedMemoryBroker(
    { ...(clock !== undefined && { clock }), ...(maxMessageBytes !== undefined && { maxMessageBytes }) },
    spies,
  )
  const checking: Middleware = {
    name: 'test-event-bus',
    async publish(message, next) {
      if (message.kind === 'reply') return next(message)
      const definition = definitionOfMessage(message) ?? bus.contracts.get(message.type)
      const back = checks ? roundTrip(message, definition, codec) : message
      // No further await before `next` than the schema needs: publishes must not overtake each other here.
      if (back instanceof Promise) await back
      await next(message)
      spies.noteSent(await back)
    },
  }
  const settings: BusOptions = {
    logger: silentLogger,
    stopDeadline: 1_000,
    ...given,
    codec,
    retry: { minDelay: 0, maxDelay: 0, redeliveries: [0, 0, 0], ...given.retry },
    ...(deadLetters !== undefined && { deadLetters: watchedStore(deadLetters, spies) }),
  }
  const bus = new TestEventBus(settings, broker, spies, checking)
  await bus.start()
  return bus
}

/** Tells the spies what is put aside. */
class WatchedMemoryBroker extends MemoryBroker {
  private readonly spies: Spies

  constructor(options: MemoryBrokerOptions, spies: Spies) {
    super(options)
    this.spies = spies
  }

  override subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    return super.subscribe(spec, (delivery) => {
      const note = (verdict: Verdict): Verdict => {
        if ('deadLetter' in verdict) {
          this.spies.notePutAside(spec.group, delivery.topic, delivery.message, verdict.deadLetter)
        }
        return verdict
      }
      const verdict = deliver(delivery)
      return isLater(verdict) ? verdict.then(note) : note(verdict)
    })
  }
}

/** The same for a store that the bus was given. */
function watchedStore(store: DeadLetterStore, spies: Spies): DeadLetterStore {
  return {
    put: async (letter) => {
      await store.put(letter)
      spies.notePutAside(letter.group, letter.topic, letter.message, letter.failure)
    },
    list: (filter, page) => store.list(filter, page),
    get: (id) => store.get(id),
    count: (filter) => store.count(filter),
    summarize: (filter) => store.summarize(filter),
    redrive: (which, edit) => store.redrive(which, edit),
    discard: (which) => store.discard(which),
  }
}
