/** One of the run's processes: it is killed with -9 and started again, as often as it is told. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Job, Word } from './words.ts'

export interface WorkerOptions {
  /** For people and the ledger: `publisher 0`. */
  readonly name: string
  /** File of its program beside this one. */
  readonly program: string
  /** Files that its broker makes go there. */
  readonly temporary: string
  /** What it is to do when it begins now. */
  readonly job: () => Job
  readonly hear: (word: Word) => void
  /** It ended, and nobody had killed it. */
  readonly crashed: (reason: string) => void
}

export class Worker {
  readonly name: string
  readonly #options: WorkerOptions
  #process: ChildProcess | undefined
  #gone: Promise<void> = Promise.resolve()
  #wanted = false
  #closed = false

  constructor(options: WorkerOptions) {
    this.name = options.name
    this.#options = options
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  start(): void {
    if (this.#closed || this.#process !== undefined) return
    const { program, temporary, job, hear, crashed } = this.#options
    // NODE_OPTIONS and a test runner's variables are not its business.
    const env = { PATH: process.env['PATH'], TMPDIR: temporary }
    const file = fileURLToPath(new URL(program, import.meta.url))
    const child = fork(file, [], { env, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let printed = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-4_000)
    })
    child.on('message', (word) => hear(word as Word))
    // What is said to one that is killed meanwhile goes nowhere.
    child.on('error', () => undefined)
    child.send(job(), () => undefined)
    this.#process = child
    this.#wanted = true
    // Only when the pipe is read to its end is everything known that it has said.
    const read = new Promise<void>((resolve) => child.once('disconnect', resolve))
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    this.#gone = Promise.all([read, closed]).then(([, code]) => {
      this.#process = undefined
      if (this.#wanted && code !== 0) crashed(`${this.name} ended with code ${code}: ${printed}`)
      this.#wanted = false
    })
  }

  /** kill -9. Resolves when it is gone and all that it had said is known. */
  async kill(): Promise<void> {
    this.#wanted = false
    this.#process?.kill('SIGKILL')
    await this.#gone
  }

  /** Kills it for good. */
  async close(): Promise<void> {
    this.#closed = true
    await this.kill()
  }

  /** Freezes it until `resume`, as a machine that is suspended or swaps does: it does not know that time has passed. */
  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  /** Asks it to end in order; kills it if it has not within `grace` milliseconds. False where it had to be killed. */
  async stop(grace: number): Promise<boolean> {
    const child = this.#process
    if (child === undefined) return true
    let inOrder = true
    const timer = setTimeout(() => {
      inOrder = false
      void this.kill()
    }, grace)
    child.send({ stop: true }, () => undefined)
    await this.#gone
    clearTimeout(timer)
    return inOrder
  }
}
