import type { Broker } from './broker/index.ts'
import { type BusOptions, EventBus } from './bus/index.ts'
import { HybridBroker, type Routing } from './hybrid/index.ts'

export interface HybridEventBusOptions extends BusOptions {
  /** Carries what the routing keeps local, for example a `MemoryBroker`. */
  readonly localBroker: Broker
  readonly remoteBroker: Broker
  /** Default: everything remote. */
  readonly routingStrategy?: Routing
}

/**
 * A bus over two brokers (see `HybridBroker`).
 *
 * @example
 * const bus = new HybridEventBus({
 *   localBroker: new MemoryBroker(),
 *   remoteBroker: new SqliteBroker({ file: 'orders.db' }),
 *   routingStrategy: new DefaultRoutingStrategy(['CacheInvalidated'], ['OrderPlaced']),
 * })
 */
export class HybridEventBus extends EventBus {
  constructor({ localBroker, remoteBroker, routingStrategy, ...options }: HybridEventBusOptions) {
    const routing = routingStrategy === undefined ? {} : { routing: routingStrategy }
    super(new HybridBroker({ local: localBroker, remote: remoteBroker, ...routing }), options)
  }
}
