/** One run of chaos over one broker: load with faults, then quiet, then the comparison. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConformanceTarget } from '../packages/busbar/src/testing/conformance/target.ts'
import type { OwnServer } from '../script/servers/start.ts'
import { startServer } from '../script/servers/start.ts'
import type { ChaosBroker } from './brokers.ts'
import { Faults } from './faults.ts'
import { Ledger } from './ledger.ts'
import { groups } from './message.ts'
import { capabilitiesOf, placeOf } from './place.ts'
import { Proxy } from './proxy.ts'
import { type ChaosResult, judge } from './result.ts'
import { settled } from './settled.ts'
import type { Job, Place, PublisherJob, Word } from './words.ts'
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

const keysOfEach = 32

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-chaos-'))
  const run = new Run(options, folder)
  try {
    return await run.run()
  } finally {
    await run.close()
    if (options.keep) options.say(`kept: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

class Run {
  readonly #options: ChaosOptions
  readonly #folder: string
  readonly #ledger: Ledger
  readonly #began = machineTime()
  readonly #workers: Worker[] = []
  readonly #crashes: string[] = []
  readonly #troubles = new Map<string, number>()
  readonly #done = new Set<string>()
  readonly #ready = new Set<string>()
  #server: OwnServer | undefined
  #proxy: Proxy | undefined
  /** Counts processes, so that each has luck of its own. */
  #lives = 0
  #progress: NodeJS.Timeout | undefined

  constructor(options: ChaosOptions, folder: string) {
    this.#options = options
    this.#folder = folder
    this.#ledger = new Ledger(join(folder, 'ledger.db'), groups)
  }

  async run(): Promise<ChaosResult> {
    const { broker, say, patience } = this.#options
    if (broker.server !== undefined) {
      this.#proxy = await Proxy.open()
      const dataDir = join(this.#folder, 'server')
      this.#server = await startServer(broker.server, { dataDir, durable: true, advertised: this.#proxy.port })
      this.#proxy.target = Number(new URL(this.#server.url).port)
    }
    // What the target keeps in files goes where the processes have their temporary files.
    mkdirSync(this.#temporary, { recursive: true })
    const place = placeOf(this.#options.target, this.#server, this.#proxy)
    const capabilities = await capabilitiesOf(place)
    this.#progress = setInterval(() => this.#tell(this.#ledger.progress()), 5_000)
    const consumers = [0, 1, 2].map((n) => this.#consumer(n, place)) as [Worker, ...Worker[]]
    for (const consumer of consumers) consumer.start()
    await this.#until('the consumers to subscribe', () => consumers.every(({ name }) => this.#ready.has(name)))

    const publishers = [0, 1].map((n) => this.#publisher(n, place)) as [Worker, ...Worker[]]
    const faults = new Faults({
      seed: this.#options.seed,
      publishers,
      consumers,
      server: this.#server,
      proxy: this.#proxy,
      movement: () => this.#ledger.runs,
      ready: ({ name }) => this.#ready.has(name),
      active: ({ name }) => !this.#done.has(name),
      happened: (what) => this.#happened(what),
    })
    for (const publisher of publishers) publisher.start()
    const disturbed = faults.run()
    // A run that nothing was killed in shows nothing.
    await settled({
      isOver: () => publishers.every(({ name }) => this.#done.has(name)) && faults.complete,
      movement: () => this.#ledger.moves,
      patience: Math.max(patience, 60_000),
      broken: disturbed,
    })
    faults.end()
    await disturbed
    this.#tell('the load is over')
    for (const consumer of consumers) consumer.start()
    for (const publisher of publishers) if (!this.#done.has(publisher.name)) publisher.start()
    await settled({
      isOver: () => publishers.every(({ name }) => this.#done.has(name)) && this.#ledger.open() === 0,
      movement: () => this.#ledger.moves,
      patience,
      quiet: 1_000,
    })
    const stopped = await Promise.all(consumers.map((consumer) => consumer.stop(15_000)))
    const comparison = this.#ledger.compare()
    if (comparison.lost > 0 || (comparison.outOfOrder > 0 && capabilities.order === 'key'))
      for (const line of this.#ledger.examples()) say(line)
    for (const [trouble, count] of this.#troubles) say(`${count} times ${trouble}`)
    for (const crash of this.#crashes) say(crash)
    return judge({
      broker: this.#options.target.name,
      order: capabilities.order,
      comparison,
      kills: faults.kills,
      cuts: this.#proxy?.cuts ?? 0,
      pauses: faults.pauses,
      crashes: this.#crashes.length,
      unfinished: publishers.some(({ name }) => !this.#done.has(name)),
      unstoppable: stopped.filter((inOrder) => !inOrder).length,
      seconds: this.#seconds(),
      seed: this.#options.seed,
      setting: broker.setting,
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#progress)
    await Promise.all(this.#workers.map((worker) => worker.close()))
    await this.#proxy?.close()
    await this.#server?.stop()
    this.#ledger.close()
  }

  get #temporary(): string {
    return join(this.#folder, 'files')
  }

  #consumer(n: number, place: Place): Worker {
    const name = `consumer ${n}`
    return this.#worker(name, 'consumer.ts', (): Job => ({ place, seed: this.#luck() }))
  }

  #publisher(n: number, place: Place): Worker {
    const name = `publisher ${n}`
    const { messages, rate } = this.#options
    const share = n === 0 ? Math.ceil(messages / 2) : Math.floor(messages / 2)
    const keys = Array.from({ length: keysOfEach }, (_, k) => `p${n}-${k}`)
    return this.#worker(name, 'publisher.ts', (): PublisherJob => {
      const next = this.#ledger.next(keys)
      const published = Object.values(next).reduce((sum, count) => sum + count, 0)
      return { place, seed: this.#luck(), next, count: share - published, rate: rate / 2 }
    })
  }

  #worker(name: string, program: string, job: () => Job): Worker {
    const worker: Worker = new Worker({
      name,
      program,
      temporary: this.#temporary,
      job: () => {
        this.#ready.delete(name)
        return job()
      },
      hear: (word) => this.#hear(word, worker),
      crashed: (reason) => {
        this.#crashes.push(reason)
        // As whatever supervises an application would.
        setTimeout(() => worker.start(), 500)
      },
    })
    this.#workers.push(worker)
    return worker
  }

  #luck(): number {
    return this.#options.seed * 1_000 + this.#lives++
  }

  #hear(word: Word, { name }: Worker): void {
    if ('published' in word) this.#ledger.published(word.published)
    else if ('confirmed' in word) this.#ledger.confirmed(word.confirmed)
    else if ('handled' in word) this.#ledger.handled(word.handled, Number(name.at(-1)))
    else if ('trouble' in word) this.#trouble(word.trouble)
    else if ('ready' in word) this.#ready.add(name)
    else if ('done' in word) this.#done.add(name)
  }

  #trouble(text: string): void {
    // Without ids and numbers, so that the same trouble is counted together.
    const kind = text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '…').replaceAll(/\d+/g, 'N')
    this.#troubles.set(kind, (this.#troubles.get(kind) ?? 0) + 1)
  }

  #happened(what: string): void {
    this.#ledger.fault(machineTime(), what)
    this.#tell(what)
  }

  #tell(text: string): void {
    this.#options.say(`${this.#seconds().toFixed(1)} s: ${text}`)
  }

  #seconds(): number {
    return Math.round((machineTime() - this.#began) / 100) / 10
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + 120_000
    while (!condition()) {
      if (performance.now() > deadline) {
        throw new Error(`waited 2 minutes for ${what}: ${[...this.#troubles.keys(), ...this.#crashes].join('; ')}`)
      }
      await sleep(20)
    }
  }
}
