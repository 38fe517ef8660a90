import { fork } from 'node:child_process'
import type { ChildProcess as Process } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { within } from './waiting.ts'

export interface ProcessOptions {
  /** So that `heap` collects garbage before it counts. */
  readonly exposeGc?: boolean
  /** Most megabytes of heap: a process that needs more dies. Default: Node's. */
  readonly heapLimit?: number
  /** Milliseconds to wait for a reply or a report. */
  readonly patience: number
}

/** What every process of a check can be told beside the commands of its suite. */
export type CommonCommand =
  /** Bytes of heap in use after collecting garbage; the child needs `exposeGc`. */
  | { readonly do: 'heap' }
  /** Kinds of what keeps the event loop alive, as `process.getActiveResourcesInfo` tells. */
  | { readonly do: 'resources' }
  /** Lets go of the parent: the process ends by itself if nothing keeps it. */
  | { readonly do: 'disconnect' }

/** Parent to child. */
export interface Call<Command> {
  readonly call: number
  readonly command: Command | CommonCommand
}

/** Child to parent, beside what its suite has it say. */
export interface Answer {
  readonly reply: number
  readonly value?: unknown
  /** Its own fields come along: revisions, names. */
  readonly error?: { readonly name: string; readonly message: string }
}

/** Another process that does as it is told; the other end of `serve`. */
export class OtherProcess<Command extends { readonly do: string }, Said extends object> {
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #process: Process
  protected readonly patience: number
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>
  #running = true
  #calls = 0
  /** The end of what it wrote on standard error. */
  protected errors = ''

  /** @param program URL of a module that calls `serve`. */
  constructor(program: string, { patience, exposeGc = false, heapLimit }: ProcessOptions, hear: (said: Said) => void) {
    this.patience = patience
    this.#process = fork(fileURLToPath(program), [], {
      execArgv: [
        ...(exposeGc ? ['--expose-gc'] : []),
        ...(heapLimit === undefined ? [] : [`--max-old-space-size=${heapLimit}`]),
      ],
      // NODE_OPTIONS and a test runner's variables are not the child's business.
      env: { PATH: process.env['PATH'], TMPDIR: process.env['TMPDIR'] },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000)
    })
    this.#process.on('message', (said) => {
      if ('reply' in (said as object)) this.#settle(said as unknown as Answer)
      else hear(said as Said)
    })
    this.exited = new Promise((resolve) => this.#process.once('close', () => resolve()))
    void this.exited.then(() => this.#gone())
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get running(): boolean {
    return this.#running
  }

  async heap(): Promise<number> {
    return (await this.call({ do: 'heap' })) as number
  }

  async resources(): Promise<readonly string[]> {
    return (await this.call({ do: 'resources' })) as readonly string[]
  }

  /** A process that nothing keeps ends by itself now. */
  async disconnect(): Promise<void> {
    await this.call({ do: 'disconnect' })
  }

  /** kill -9, by process id. */
  async kill(): Promise<void> {
    if (this.#running) this.#process.kill('SIGKILL')
    await within(this.exited, `process ${this.pid} to end after kill -9`, this.patience)
  }

  /** Waits until the process has ended by itself. */
  async ended(): Promise<void> {
    await within(this.exited, `process ${this.pid} to end`, this.patience)
  }

  /** @param patience For what takes longer than an answer usually does. */
  protected call(command: Command | CommonCommand, patience = this.patience): Promise<unknown> {
    if (!this.#running) return Promise.reject(new Error(`process ${this.pid} is gone; ${command.do} cannot be done`))
    const call: Call<Command> = { call: ++this.#calls, command }
    const reply = new Promise<unknown>((resolve, reject) => this.#waiting.set(call.call, { resolve, reject }))
    this.#process.send(call, (error) => {
      if (error !== null) this.#waiting.get(call.call)?.reject(error)
    })
    return within(reply, `process ${this.pid} to answer '${command.do}' ${this.errors}`, patience)
  }

  #settle({ reply, value, error }: Answer): void {
    const waiting = this.#waiting.get(reply)
    this.#waiting.delete(reply)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(Object.assign(new Error(error.message), error))
  }

  #gone(): void {
    this.#running = false
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(`process ${this.pid} ended ${this.errors}`))
    this.#waiting.clear()
  }
}
