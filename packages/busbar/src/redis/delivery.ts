import { type DeliveryOwner, type Known, LeasedDelivery } from '../leases/delivery.ts'
import type { EncodedMessage } from '../message/message.ts'

export { type DeliveryOwner, isUnsettled } from '../leases/delivery.ts'

interface Origin extends Known {
  /** Id in the partition's stream; empty for what never was there. */
  readonly id: string
  /** Name among those set aside; undefined for what is in line. */
  readonly entry?: string
  readonly place: string
  /** Why it cannot be read; it is put aside without being handed out. */
  readonly unreadable?: Error | undefined
}

/** One message handed to one group, in the memory of its member. */
export class HandedOut extends LeasedDelivery {
  readonly position: string
  readonly id: string
  readonly entry: string | undefined
  readonly unreadable: Error | undefined

  constructor(owner: DeliveryOwner, message: EncodedMessage, topic: string, from: Origin) {
    super(owner, message, topic, from)
    this.position = from.place
    this.id = from.id
    this.entry = from.entry
    this.unreadable = from.unreadable
  }
}
