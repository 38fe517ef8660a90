import { extname } from 'node:path'
import type { Outgoing, SubscriptionSpec } from '../../broker/index.ts'
import { OtherProcess, type ProcessOptions } from '../suite/process.ts'
import { eventually } from '../suite/waiting.ts'
import type { Command, Report, Rule, Said } from './script.ts'
import type { TargetOptions } from './target.ts'

export interface ChildOptions extends ProcessOptions {
  /** Lease of its broker in milliseconds. */
  readonly lease?: number
}

/** The extension is that of this file, so the same code works from source (.ts) and from the package (.js). */
const child = new URL(`./child${extname(import.meta.url)}`, import.meta.url).href

/** Another process with a broker of the target; the other end of `child.ts`. */
export class ChildProcess extends OtherProcess<Command, Said> {
  readonly reports: Report[] = []
  /** Ids that `publishOn` has had confirmed. */
  readonly confirmed: string[] = []

  constructor(options: ChildOptions) {
    super(child, options, (said) => {
      if ('report' in said) this.reports.push(said.report)
      else this.confirmed.push(said.confirmed)
    })
  }

  async start(module: string, options: TargetOptions): Promise<void> {
    await this.call({ do: 'start', module, options })
  }

  async subscribe(spec: SubscriptionSpec, rules: readonly Rule[] = [], quiet = false, member = 'only'): Promise<void> {
    await this.call({ do: 'subscribe', member, spec, rules, quiet })
  }

  /** Subscribes a handler on an `EventBus` over the broker. */
  async handle(
    topic: string,
    options: Extract<Command, { do: 'handle' }>['options'],
    rules: readonly Rule[] = [],
    retry: Extract<Command, { do: 'handle' }>['retry'] = {},
  ): Promise<void> {
    await this.call({ do: 'handle', member: 'only', topic, options, retry, rules })
  }

  async unsubscribe(member = 'only', deadline?: number): Promise<void> {
    await this.call({ do: 'unsubscribe', member, ...(deadline === undefined ? {} : { deadline }) })
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await this.call({ do: 'publish', batch })
  }

  /** Publishes until it is killed; see `confirmed`. */
  async publishOn(topic: string, lanes: number): Promise<void> {
    await this.call({ do: 'publishOn', topic, lanes })
  }

  /** Lets held handlers go on. */
  async open(): Promise<void> {
    await this.call({ do: 'open' })
  }

  async count(member = 'only'): Promise<number> {
    return (await this.call({ do: 'count', member })) as number
  }

  /** A clean end of bus and broker; the process lives on. */
  async stop(deadline?: number): Promise<void> {
    await this.call({ do: 'stop', ...(deadline === undefined ? {} : { deadline }) })
  }

  of(what: Report['what'], id?: string): Report[] {
    return this.reports.filter((report) => report.what === what && (id === undefined || report.id === id))
  }

  /** Waits for a report of this kind about the message; resolves to it. */
  async reported(what: Report['what'], id?: string): Promise<Report> {
    await eventually(
      () => this.of(what, id).length > 0 || !this.running,
      () => `process ${this.pid} to report '${what}' of ${id ?? 'any message'} ${this.errors}`,
      this.patience,
    )
    const report = this.of(what, id)[0]
    if (report === undefined) throw new Error(`process ${this.pid} ended and never reported '${what}' ${this.errors}`)
    return report
  }
}
