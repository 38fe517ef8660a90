import { Bridge } from '../bridge/bridge.ts'
import type { Broker, Delivery, Outgoing } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { unaddressed } from './address.ts'

export interface RelayOptions {
  /** The broker of the outbox: a database that has a log of Busbar. The caller starts and stops it. */
  readonly from: Broker
  /** Where the messages are to go. The caller starts and stops it. */
  readonly to: Broker
  /** Which outbox, where a database has several. Default `outbox`. */
  readonly name?: string
  /** Most messages on their way at once, in each process. Default 1 000. It bounds what is sent twice after a kill -9. */
  readonly prefetch?: number
  /** Most messages of one publish. Default 500. */
  readonly batch?: number
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/**
 * Hands on what is committed in an outbox: a bridge, so with leases (any number may run, each message is moved by one of
 * them), in the order of each key, and with a pause of its own for each key that the other side refuses for a while.
 */
export class Relay extends Bridge {
  constructor({ name = 'outbox', ...options }: RelayOptions) {
    super({ ...options, name, topics: [name], start: 'earliest' })
  }

  protected override outgoing({ message }: Delivery): Outgoing | undefined {
    return unaddressed(message)
  }
}

/** The group of an outbox's relays at the broker of the outbox. */
export function relayGroup(name: string): string {
  return `bridge.${name}`
}

/**
 * Starts a relay; for a process that does nothing else, where the buses have `outbox: { relay: false }`.
 *
 * @example
 * const relay = await relayOutbox({ from: postgres, to: kafka })
 */
export async function relayOutbox(options: RelayOptions): Promise<Relay> {
  const relay = new Relay(options)
  await relay.start()
  return relay
}
