import { fork } from 'node:child_process'
import type { ChildProcess as Process } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Outgoing, SubscriptionSpec } from '../../broker/index.ts'
import type { Call, Command, FromChild, Report, Rule } from './script.ts'
import type { TargetOptions } from './target.ts'
import { eventually, within } from './waiting.ts'

export interface ChildOptions {
  /** Lease of its broker in milliseconds. */
  readonly lease?: number
  /** So that `heap` collects garbage before it counts. */
  readonly exposeGc?: boolean
  /** Milliseconds to wait for a reply or a report. */
  readonly patience: number
}

/** The extension is that of this file, so the same code works from source (.ts) and from the package (.js). */
const child = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

/** Another process with a broker of the target; the other end of `child.ts`. */
export class ChildProcess {
  readonly reports: Report[] = []
  /** Ids that `publishOn` has had confirmed. */
  readonly confirmed: string[] = []
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #process: Process
  readonly #patience: number
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>
  #running = true
  #calls = 0
  #errors = ''

  constructor(options: ChildOptions) {
    this.#patience = options.patience
    this.#process = fork(child, [], {
      execArgv: options.exposeGc === true ? ['--expose-gc'] : [],
      // NODE_OPTIONS and a test runner's variables are not the child's business.
      env: { PATH: process.env['PATH'], TMPDIR: process.env['TMPDIR'] },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4000)
    })
    this.#process.on('message', (said) => this.#hear(said as FromChild))
    this.exited = new Promise((resolve) => this.#process.once('close', () => resolve()))
    void this.exited.then(() => this.#gone())
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get running(): boolean {
    return this.#running
  }

  async start(module: string, options: TargetOptions): Promise<void> {
    await this.#call({ do: 'start', module, options })
  }

  async subscribe(spec: SubscriptionSpec, rules: readonly Rule[] = [], quiet = false, member = 'only'): Promise<void> {
    await this.#call({ do: 'subscribe', member, spec, rules, quiet })
  }

  /** Subscribes a handler on an `EventBus` over the broker. */
  async handle(
    topic: string,
    options: Extract<Command, { do: 'handle' }>['options'],
    rules: readonly Rule[] = [],
    retry: Extract<Command, { do: 'handle' }>['retry'] = {},
  ): Promise<void> {
    await this.#call({ do: 'handle', member: 'only', topic, options, retry, rules })
  }

  async unsubscribe(member = 'only', deadline?: number): Promise<void> {
    await this.#call({ do: 'unsubscribe', member, ...(deadline === undefined ? {} : { deadline }) })
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await this.#call({ do: 'publish', batch })
  }

  /** Publishes until it is killed; see `confirmed`. */
  async publishOn(topic: string, lanes: number): Promise<void> {
    await this.#call({ do: 'publishOn', topic, lanes })
  }

  /** Lets held handlers go on. */
  async open(): Promise<void> {
    await this.#call({ do: 'open' })
  }

  async count(member = 'only'): Promise<number> {
    return (await this.#call({ do: 'count', member })) as number
  }

  async heap(): Promise<number> {
    return (await this.#call({ do: 'heap' })) as number
  }

  async resources(): Promise<readonly string[]> {
    return (await this.#call({ do: 'resources' })) as readonly string[]
  }

  /** A clean end of bus and broker; the process lives on. */
  async stop(deadline?: number): Promise<void> {
    await this.#call({ do: 'stop', ...(deadline === undefined ? {} : { deadline }) })
  }

  /** A process that nothing keeps ends by itself now. */
  async disconnect(): Promise<void> {
    await this.#call({ do: 'disconnect' })
  }

  /** kill -9, by process id. */
  async kill(): Promise<void> {
    if (this.#running) this.#process.kill('SIGKILL')
    await within(this.exited, `process ${this.pid} to end after kill -9`, this.#patience)
  }

  /** Waits until the process has ended by itself. */
  async ended(): Promise<void> {
    await within(this.exited, `process ${this.pid} to end`, this.#patience)
  }

  of(what: Report['what'], id?: string): Report[] {
    return this.reports.filter((report) => report.what === what && (id === undefined || report.id === id))
  }

  /** Waits for a report of this kind about the message; resolves to it. */
  async reported(what: Report['what'], id?: string): Promise<Report> {
    await eventually(
      () => this.of(what, id).length > 0 || !this.#running,
      () => `process ${this.pid} to report '${what}' of ${id ?? 'any message'} ${this.#errors}`,
      this.#patience,
    )
    const report = this.of(what, id)[0]
    if (report === undefined) throw new Error(`process ${this.pid} ended and never reported '${what}' ${this.#errors}`)
    return report
  }

  #call(command: Command): Promise<unknown> {
    if (!this.#running) return Promise.reject(new Error(`process ${this.pid} is gone; ${command.do} cannot be done`))
    const call: Call = { call: ++this.#calls, command }
    const reply = new Promise<unknown>((resolve, reject) => this.#waiting.set(call.call, { resolve, reject }))
    this.#process.send(call, (error) => {
      if (error !== null) this.#waiting.get(call.call)?.reject(error)
    })
    return within(reply, `process ${this.pid} to answer '${command.do}' ${this.#errors}`, this.#patience)
  }

  #hear(said: FromChild): void {
    if ('report' in said) {
      this.reports.push(said.report)
      return
    }
    if ('confirmed' in said) {
      this.confirmed.push(said.confirmed)
      return
    }
    const waiting = this.#waiting.get(said.reply)
    this.#waiting.delete(said.reply)
    if (said.error === undefined) waiting?.resolve(said.value)
    else waiting?.reject(Object.assign(new Error(said.error.message), { name: said.error.name }))
  }

  #gone(): void {
    this.#running = false
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(`process ${this.pid} ended ${this.#errors}`))
    this.#waiting.clear()
  }
}
