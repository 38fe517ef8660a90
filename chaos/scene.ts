/** What every run has: a folder, a server of its own behind a proxy, and processes that tell how they are. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConformanceTarget } from '../packages/busbar/src/testing/conformance/target.ts'
import type { OwnServer } from '../script/servers/start.ts'
import { startServer } from '../script/servers/start.ts'
import type { ChaosBroker } from './brokers.ts'
import { placeOf } from './place.ts'
import { Proxy } from './proxy.ts'
import type { Circumstances } from './result.ts'
import type { Job, Place, Word } from './words.ts'
import { machineTime } from './words.ts'
import { Worker } from './worker.ts'

export interface ChaosOptions {
  readonly target: ConformanceTarget
  readonly broker: ChaosBroker
  readonly messages: number
  readonly seed: number
  /** Messages published in a second, at most. */
  readonly rate: number
  /** Milliseconds without any movement after which what has not come is taken for lost. */
  readonly patience: number
  /** Keeps the folder with the ledger and the server's data. */
  readonly keep: boolean
  /** Told what is going on. */
  readonly say: (text: string) => void
}

export interface SceneWorker {
  /** For people: `publisher 0`. */
  readonly name: string
  /** File of its program, from here. */
  readonly program: string
  readonly job: () => Job
  /** Told what it says of its work. */
  readonly hear?: (word: Word) => void
}

export class Scene {
  readonly folder: string
  server: OwnServer | undefined
  proxy: Proxy | undefined
  readonly #options: ChaosOptions
  readonly #began = machineTime()
  readonly #workers: Worker[] = []
  readonly #crashes: string[] = []
  readonly #troubles = new Map<string, number>()
  readonly #done = new Set<string>()
  readonly #ready = new Set<string>()
  #closing: Promise<void> | undefined
  /** Counts processes, so that each has luck of its own. */
  #lives = 0

  private constructor(options: ChaosOptions, folder: string) {
    this.#options = options
    this.folder = folder
  }

  /** Runs `work` on a scene of its own, of which nothing is left but, where that is asked for, the folder. */
  static async on<T>(options: ChaosOptions, work: (scene: Scene) => Promise<T>): Promise<T> {
    const scene = new Scene(options, mkdtempSync(join(tmpdir(), 'busbar-chaos-')))
    try {
      return await work(scene)
    } finally {
      await scene.close()
      if (options.keep) options.say(`kept: ${scene.folder}`)
      else rmSync(scene.folder, { recursive: true, force: true })
    }
  }

  /** Starts the server, where the broker has one; resolves to how processes come to it. */
  async open(): Promise<Place> {
    const { broker, target } = this.#options
    if (broker.server !== undefined) {
      this.proxy = await Proxy.open()
      const dataDir = join(this.folder, 'server')
      this.server = await startServer(broker.server, { dataDir, durable: true, advertised: this.proxy.port })
      this.proxy.target = Number(new URL(this.server.url).port)
    }
    // What the target keeps in files goes where the processes have their temporary files.
    mkdirSync(this.#temporary, { recursive: true })
    return placeOf(target, this.server, this.proxy)
  }

  worker({ name, program, job, hear }: SceneWorker): Worker {
    const worker: Worker = new Worker({
      name,
      program,
      temporary: this.#temporary,
      job: () => {
        this.#ready.delete(name)
        return job()
      },
      hear: (word) => {
        if ('trouble' in word) this.#trouble(word.trouble)
        else if ('ready' in word) this.#ready.add(name)
        else if ('done' in word) this.#done.add(name)
        else hear?.(word)
      },
      crashed: (reason) => {
        this.#crashes.push(reason)
        // As whatever supervises an application would.
        setTimeout(() => worker.start(), 500)
      },
    })
    this.#workers.push(worker)
    return worker
  }

  /** Whether it has got to work since it was started last. */
  isReady({ name }: Worker): boolean {
    return this.#ready.has(name)
  }

  /** Whether it has nothing more to do. */
  isDone({ name }: Worker): boolean {
    return this.#done.has(name)
  }

  /** The seed of the next process. */
  luck(): number {
    return this.#options.seed * 1_000 + this.#lives++
  }

  tell(text: string): void {
    this.#options.say(`${this.#seconds().toFixed(1)} s: ${text}`)
  }

  async untilReady(workers: readonly Worker[]): Promise<void> {
    const deadline = performance.now() + 120_000
    while (!workers.every((worker) => this.isReady(worker))) {
      if (performance.now() > deadline) {
        const names = workers.map(({ name }) => name).join(', ')
        throw new Error(
          `waited 2 minutes for ${names} to be ready: ${[...this.#troubles.keys(), ...this.#crashes].join('; ')}`,
        )
      }
      await sleep(20)
    }
  }

  /** Asks processes to end, and says what trouble there was: what a result is judged by beside its ledger. */
  async end(workers: readonly Worker[], { unfinished, pauses }: { unfinished: () => boolean; pauses: number }) {
    const { say, seed } = this.#options
    const stopped = await Promise.all(workers.map((worker) => worker.stop(15_000)))
    for (const [trouble, count] of this.#troubles) say(`${count} times ${trouble}`)
    for (const crash of this.#crashes) say(crash)
    return {
      cuts: this.proxy?.cuts ?? 0,
      pauses,
      crashes: this.#crashes.length,
      unfinished: unfinished(),
      unstoppable: stopped.filter((inOrder) => !inOrder).length,
      seconds: this.#seconds(),
      seed,
    } satisfies Omit<Circumstances, 'order' | 'setting'>
  }

  /** Kills what runs, and waits until all that it had said is known. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()))
    await this.proxy?.close()
    await this.server?.stop()
  }

  get #temporary(): string {
    return join(this.folder, 'files')
  }

  #trouble(text: string): void {
    // Without ids and numbers, so that the same trouble is counted together.
    const kind = text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '…').replaceAll(/\d+/g, 'N')
    this.#troubles.set(kind, (this.#troubles.get(kind) ?? 0) + 1)
  }

  #seconds(): number {
    return Math.round((machineTime() - this.#began) / 100) / 10
  }
}
