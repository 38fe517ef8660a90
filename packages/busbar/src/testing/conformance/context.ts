import type { Broker, Capabilities, Outgoing, SubscriptionSpec } from '../../broker/index.ts'
import { EventBus, silentLogger } from '../../bus/index.ts'
import type { BusOptions } from '../../bus/index.ts'
import type { EncodedMessage } from '../../message/message.ts'
import { ack, Collector } from './collector.ts'
import type { Handle } from './collector.ts'
import { ChildProcess } from './child-process.ts'
import type { ChildOptions } from './child-process.ts'
import type { ConformanceOptions } from './options.ts'
import { Scope } from '../suite/scope.ts'
import type { ConformanceTarget, TargetFaults, TargetModule, TargetTransaction } from './target.ts'

/** What a member asks for; the rest has defaults. */
export type MemberOptions = Partial<Omit<SubscriptionSpec, 'topics'>> & { readonly topics?: readonly string[] }

/** The world of one check: its own namespace, its brokers and child processes, all ended when the check is over. */
export class CheckContext extends Scope<Required<ConformanceOptions>, TargetFaults, TargetModule> {
  readonly capabilities: Capabilities
  /** A topic and a group for checks that need but one. */
  readonly topic: string
  readonly group: string

  constructor(
    target: ConformanceTarget,
    module: TargetModule,
    capabilities: Capabilities,
    options: Required<ConformanceOptions>,
    namespace: string,
  ) {
    super(target, module, options, namespace)
    this.capabilities = capabilities
    this.topic = this.name('topic')
    this.group = this.name('group')
  }

  /** A started broker. Brokers of one check share their messages where the broker can. */
  async broker(options: { readonly lease?: number } = {}): Promise<Broker> {
    const broker = await this.module.createBroker(this.targetOptions(options.lease))
    this.onEnd(() => broker.stop({ deadline: 500 }))
    await broker.start()
    return broker
  }

  /** A started bus over a broker of its own, whose default topics are those of this check. Retries are quick. */
  async bus({ lease, ...options }: BusOptions & { readonly lease?: number } = {}): Promise<EventBus> {
    const broker = await this.module.createBroker(this.targetOptions(lease))
    const bus = new EventBus(broker, {
      source: 'conformance',
      logger: silentLogger,
      topics: { event: this.topic, command: this.name('commands'), query: this.name('queries') },
      retry: { retries: 2, minDelay: 5, maxDelay: 20, redeliveries: [20, 40] },
      ...options,
    })
    this.onEnd(() => bus.stop({ deadline: 500 }))
    await bus.start()
    return bus
  }

  /** Another process with a started broker. */
  async child(options: Omit<ChildOptions, 'patience'> = {}): Promise<ChildProcess> {
    // How long a process takes to start says nothing about the broker: an impatient run waits for it as long as any.
    const child = new ChildProcess({ ...options, patience: Math.max(this.options.patience, 30_000) })
    this.onEnd(() => child.kill())
    await child.start(this.target.module, this.targetOptions(options.lease))
    return child
  }

  /** Subscribes and remembers. Default: the check's topic and group, prefetch 10, from the latest, ack at once. */
  collect(broker: Broker, member: MemberOptions = {}, handle: Handle = () => ack): Promise<Collector> {
    return new Collector(broker, this.spec(member), handle, this.options.patience).subscribe()
  }

  spec(member: MemberOptions = {}): SubscriptionSpec {
    const { group, topic } = this
    const broadcast = !this.capabilities.groups
    return { group, topics: [topic], broadcast, prefetch: 10, from: 'latest', onFailure: 'continue', ...member }
  }

  /** A transaction of an application's own, in the database of the broker. Rolled back at the end of the check. */
  async begin(): Promise<TargetTransaction> {
    const begun = await this.module.begin?.(this.targetOptions())
    if (begun === undefined)
      throw new Error(`the target ${this.target.name} cannot begin a transaction: it exports no 'begin'`)
    let over = false
    const once = async (end: () => Promise<void>): Promise<void> => {
      if (over) return
      over = true
      await end()
    }
    this.onEnd(() => once(() => begun.rollback()))
    return {
      tx: begun.tx,
      commit: () => once(() => begun.commit()),
      rollback: () => once(() => begun.rollback()),
    }
  }

  /** Messages as a batch for the check's topic. */
  batch(...messages: readonly EncodedMessage[]): Outgoing[] {
    return messages.map((message) => ({ topic: this.topic, message }))
  }
}
