import { ConfigurationError } from './errors.ts'
import type { CreateOptions } from './create-options.ts'
import type { Definition } from './definition.ts'
import type { Message, MessageKind, Metadata, Priority } from './message.ts'

/** The class form of an event contract. (Filled in shortly.) */
export abstract class DomainEvent<D = unknown> implements Message<D> {
  declare readonly id: string
  declare readonly type: string
  declare readonly kind: MessageKind
  declare readonly source: string
  declare readonly subject?: string
  declare readonly key?: string
  declare readonly time: Date
  declare readonly version: number
  declare readonly revision?: number
  declare readonly priority?: Priority
  declare readonly topic?: string
  declare readonly metadata: Metadata
  declare readonly data: D
  declare readonly eventType: string

  constructor(data: D, metadata?: Partial<Metadata>, options?: CreateOptions) {
    void [data, metadata, options]
    throw new ConfigurationError('DomainEvent is not there yet')
  }

  get eventId(): string {
    return this.id
  }

  get aggregateId(): string | undefined {
    return this.subject
  }

  get aggregateVersion(): number | undefined {
    return this.revision
  }

  get occurredOn(): Date {
    return this.time
  }

  get payload(): D {
    return this.data
  }
}

/** A class that extends `DomainEvent`. */
export type DomainEventClass<E extends DomainEvent = DomainEvent> = abstract new (...args: never[]) => E

export function definitionOfClass(eventClass: DomainEventClass): Definition {
  throw new ConfigurationError(`definitionOfClass(${eventClass.name}) is not there yet`)
}
