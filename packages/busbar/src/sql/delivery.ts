import { type DeliveryOwner as LeaseOwner, type Known, LeasedDelivery } from '../leases/delivery.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { Position } from './dialect.ts'

export { isUnsettled } from '../leases/delivery.ts'

/** Where a delivery came from and what is told there. */
export interface DeliveryOwner extends LeaseOwner {
  /** The place for people. */
  place(delivery: HandedOut): string
}

interface Origin extends Known {
  /** Place in the log; null for what never was there. */
  readonly position: Position
  /** Number of the row among those set aside; undefined for what is in line. */
  readonly entry?: number
  readonly place?: string
}

/** One message handed to one group, in the memory of its member. */
export class HandedOut extends LeasedDelivery<DeliveryOwner> {
  readonly origin: Position
  readonly entry: number | undefined

  private readonly knownPlace: string | undefined

  constructor(owner: DeliveryOwner, message: EncodedMessage, topic: string, from: Origin) {
    super(owner, message, topic, from)
    this.origin = from.position
    this.entry = from.entry
    this.knownPlace = from.place
  }

  get position(): string {
    return this.knownPlace ?? this.owner.place(this)
  }
}
