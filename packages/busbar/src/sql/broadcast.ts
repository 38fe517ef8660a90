import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import type { SqlContext } from './context.ts'

export class BroadcastMember implements BrokerSubscription {
  readonly group: string
  constructor(
    _context: SqlContext,
    spec: SubscriptionSpec,
    _deliver: Deliver,
    _gone: (member: BroadcastMember) => void,
  ) {
    this.group = spec.group
  }
  async start(): Promise<void> {}
  tick(_changed: boolean): void {}
  nextDue(): number {
    return Infinity
  }
  grew(_topic: number, _partition: number): void {}
  changed(): void {}
  inFlight(_topic: number): number {
    return 0
  }
  async flush(): Promise<void> {}
  async stop(_options?: { readonly deadline?: number }): Promise<void> {}
}
