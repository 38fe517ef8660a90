import type { Broker, Deliver, Delivery, Outgoing, SubscriptionSpec } from '../../../broker/index.ts'

/** The broker with some of it done otherwise. */
export function altered(broker: Broker, changes: Partial<Broker>): Broker {
  return {
    name: broker.name,
    capabilities: broker.capabilities,
    deadLetters: broker.deadLetters,
    start: () => broker.start(),
    publish: (batch) => broker.publish(batch),
    ...(broker.publishIn === undefined ? {} : { publishIn: broker.publishIn.bind(broker) }),
    subscribe: (spec, deliver) => broker.subscribe(spec, deliver),
    deleteGroup: (group) => broker.deleteGroup(group),
    metrics: () => broker.metrics(),
    ping: () => broker.ping(),
    stop: (options) => broker.stop(options),
    ...changes,
  }
}

export function publishing(broker: Broker, change: (batch: readonly Outgoing[]) => readonly Outgoing[]): Broker {
  return altered(broker, { publish: (batch) => broker.publish(change(batch)) })
}

/** Each message of a batch changed. */
export function sending(broker: Broker, change: (one: Outgoing) => Outgoing): Broker {
  return publishing(broker, (batch) => batch.map((one) => change(one)))
}

export function subscribing(broker: Broker, change: (spec: SubscriptionSpec) => SubscriptionSpec): Broker {
  return altered(broker, { subscribe: (spec, deliver) => broker.subscribe(change(spec), deliver) })
}

export function delivering(broker: Broker, change: (deliver: Deliver) => Deliver): Broker {
  return altered(broker, { subscribe: (spec, deliver) => broker.subscribe(spec, change(deliver)) })
}

/** Deliveries with some of what they say changed. */
export function showing(broker: Broker, change: (delivery: Delivery) => Partial<Delivery>): Broker {
  return delivering(broker, (deliver) => (delivery) => deliver(changed(delivery, change(delivery))))
}

function changed(delivery: Delivery, changes: Partial<Delivery>): Delivery {
  const { message, topic, position, attempts, redeliveries, crashes, firstFailedAt, signal } = delivery
  const began = (runs: number): void | Promise<void> => delivery.began(runs)
  const copy = { message, topic, position, attempts, redeliveries, crashes, signal, began }
  return {
    ...copy,
    ...(firstFailedAt === undefined ? {} : { firstFailedAt }),
    get lapsed() {
      return delivery.lapsed
    },
    ...changes,
  }
}
