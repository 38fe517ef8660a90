import type { Broker, Capabilities, Outgoing, SubscriptionSpec } from '../../broker/index.ts'
import { EventBus, silentLogger } from '../../bus/index.ts'
import type { BusOptions } from '../../bus/index.ts'
import type { EncodedMessage } from '../../message/message.ts'
import { ack, Collector } from './collector.ts'
import type { Handle } from './collector.ts'
import { ChildProcess } from './child-process.ts'
import type { ChildOptions } from './child-process.ts'
import type { ConformanceOptions } from './options.ts'
import type { ConformanceTarget, EndFault, TargetFaults, TargetModule, TargetOptions } from './target.ts'
import { eventually, sleep, within } from './waiting.ts'

/** What a member asks for; the rest has defaults. */
export type MemberOptions = Partial<Omit<SubscriptionSpec, 'topics'>> & { readonly topics?: readonly string[] }

/** The world of one check: its own namespace, its brokers and child processes, all ended when the check is over. */
export class CheckContext {
  readonly capabilities: Capabilities
  readonly options: Required<ConformanceOptions>
  readonly namespace: string
  /** A topic and a group for checks that need but one. */
  readonly topic: string
  readonly group: string
  readonly #target: ConformanceTarget
  readonly #module: TargetModule
  readonly #endings: EndFault[] = []

  constructor(
    target: ConformanceTarget,
    module: TargetModule,
    capabilities: Capabilities,
    options: Required<ConformanceOptions>,
    namespace: string,
  ) {
    this.#target = target
    this.#module = module
    this.capabilities = capabilities
    this.options = options
    this.namespace = namespace
    this.topic = this.name('topic')
    this.group = this.name('group')
  }

  /** A name of a topic or group that no other check uses. */
  name(suffix: string): string {
    return `${this.namespace}-${suffix}`
  }

  /** A started broker. Brokers of one check share their messages where the broker can. */
  async broker(options: { readonly lease?: number } = {}): Promise<Broker> {
    const broker = await this.#module.createBroker(this.#targetOptions(options.lease))
    this.onEnd(() => broker.stop({ deadline: 500 }))
    await broker.start()
    return broker
  }

  /** A started bus over a broker of its own, whose default topics are those of this check. Retries are quick. */
  async bus({ lease, ...options }: BusOptions & { readonly lease?: number } = {}): Promise<EventBus> {
    const broker = await this.#module.createBroker(this.#targetOptions(lease))
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
    await child.start(this.#target.module, this.#targetOptions(options.lease))
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

  /** Messages as a batch for the check's topic. */
  batch(...messages: readonly EncodedMessage[]): Outgoing[] {
    return messages.map((message) => ({ topic: this.topic, message }))
  }

  async eventually(condition: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void> {
    await eventually(condition, what, this.options.patience)
  }

  async within<T>(promise: Promise<T>, what: string, patience = this.options.patience): Promise<T> {
    return within(promise, what, patience)
  }

  /** Listens a moment longer for what must not come; only where no later message can mark the end. */
  async grace(): Promise<void> {
    await sleep(this.options.grace)
  }

  /** Causes a fault; it ends when the returned function is called, at the latest with the check. */
  async cause(fault: keyof TargetFaults): Promise<EndFault> {
    const end = await this.#module.faults?.[fault]?.(this.#targetOptions())
    if (end === undefined) throw new Error(`the target ${this.#target.name} cannot cause ${fault}`)
    let ended = false
    const once = async (): Promise<void> => {
      if (ended) return
      ended = true
      await end()
    }
    this.onEnd(once)
    return once
  }

  onEnd(ending: EndFault): void {
    this.#endings.push(ending)
  }

  /** Ends all that the check began, last first. An ending that fails does not hinder the others. */
  async end(): Promise<void> {
    for (const ending of this.#endings.toReversed()) {
      await within(Promise.resolve().then(ending), 'an ending', 10_000).catch(() => undefined)
    }
    await this.#module.cleanup?.(this.#targetOptions())
  }

  #targetOptions(lease?: number): TargetOptions {
    const settings = this.#target.settings ?? {}
    return { namespace: this.namespace, settings, ...(lease === undefined ? {} : { lease }) }
  }
}
