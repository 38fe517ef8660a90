/** `npm run chaos -- outbox`: orders and their events in one transaction, a relay, a broker, effects with an inbox; all of it killed. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OwnServer } from '../../script/servers/start.ts'
import { startServer } from '../../script/servers/start.ts'
import { Faults } from '../faults.ts'
import { capabilitiesOf, placeOf } from '../place.ts'
import { Proxy } from '../proxy.ts'
import type { ChaosOptions } from '../run.ts'
import { settled } from '../settled.ts'
import { machineTime, type Place, type Word } from '../words.ts'
import { Worker } from '../worker.ts'
import { OutboxLedger } from './ledger.ts'
import type { AppJob, Defect, OutboxJob } from './order.ts'
import { judge, type OutboxChaosResult, type OutboxKills } from './result.ts'

export interface OutboxChaosOptions extends ChaosOptions {
  readonly defect?: Defect
}

const customersOfEach = 16

export async function runOutboxChaos(options: OutboxChaosOptions): Promise<OutboxChaosResult> {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-chaos-outbox-'))
  const run = new OutboxRun(options, folder)
  try {
    return await run.run()
  } finally {
    await run.close()
    if (options.keep) options.say(`kept: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

class OutboxRun {
  readonly #options: OutboxChaosOptions
  readonly #folder: string
  readonly #ledger: OutboxLedger
  readonly #began = machineTime()
  readonly #workers: Worker[] = []
  readonly #crashes: string[] = []
  readonly #troubles = new Map<string, number>()
  readonly #done = new Set<string>()
  readonly #ready = new Set<string>()
  readonly #killed: OutboxKills = { app: 0, relay: 0, consumer: 0, server: 0 }
  #rolledBack = 0
  #server: OwnServer | undefined
  #proxy: Proxy | undefined
  /** Counts processes, so that each has luck of its own. */
  #lives = 0

  constructor(options: OutboxChaosOptions, folder: string) {
    this.#options = options
    this.#folder = folder
    this.#ledger = new OutboxLedger(this.#shop, this.#effects)
  }

  async run(): Promise<OutboxChaosResult> {
    const { broker, patience, target, seed, say } = this.#options
    if (broker.server !== undefined) {
      this.#proxy = await Proxy.open()
      const dataDir = join(this.#folder, 'server')
      this.#server = await startServer(broker.server, { dataDir, durable: true, advertised: this.#proxy.port })
      this.#proxy.target = Number(new URL(this.#server.url).port)
    }
    mkdirSync(this.#temporary, { recursive: true })
    const place = placeOf(target, this.#server, this.#proxy)
    const { order } = await capabilitiesOf(place)
    const consumers = [0, 1].map((n) => this.#worker(`consumer ${n}`, 'outbox/consumer.ts', () => this.#job(place)))
    for (const consumer of consumers) consumer.start()
    await this.#until('the consumers to subscribe', () => consumers.every(({ name }) => this.#ready.has(name)))

    const apps = [0, 1].map((n) => this.#app(n, place))
    const relay = this.#worker('relay 0', 'outbox/relay.ts', () => this.#job(place))
    const appsDone = (): boolean => apps.every(({ name }) => this.#done.has(name))
    const faults = new Faults({
      seed,
      publishers: [relay, ...apps],
      consumers: consumers as [Worker, ...Worker[]],
      server: this.#server,
      proxy: this.#proxy,
      movement: () => this.#ledger.effects,
      ready: ({ name }) => this.#ready.has(name),
      active: (worker) => {
        const isRelay = worker === relay
        const over = isRelay ? appsDone() : this.#done.has(worker.name)
        return !over || this.#killed[isRelay ? 'relay' : 'app'] === 0
      },
      happened: (what) => this.#happened(what),
    })
    for (const each of [...apps, relay]) each.start()
    const disturbed = faults.run()
    // A run in which something was not killed shows nothing of it.
    await settled({
      isOver: () => appsDone() && faults.complete && this.#killed.relay > 0 && this.#killed.app > 0,
      movement: () => this.#ledger.moves,
      patience: Math.max(patience, 60_000),
      broken: disturbed,
    })
    faults.end()
    await disturbed
    this.#tell('the load is over')
    for (const each of [...consumers, relay]) each.start()
    for (const app of apps) if (!this.#done.has(app.name)) app.start()
    await settled({
      isOver: () => appsDone() && this.#ledger.missing === 0,
      movement: () => this.#ledger.moves,
      patience,
      quiet: 1_000,
    })
    const stopped = await Promise.all([...consumers, relay, ...apps].map((each) => each.stop(15_000)))
    for (const [trouble, count] of this.#troubles) say(`${count} times ${trouble}`)
    for (const crash of this.#crashes) say(crash)
    return judge({
      order,
      comparison: this.#ledger.compare(),
      rolledBack: this.#rolledBack,
      killed: this.#killed,
      cuts: this.#proxy?.cuts ?? 0,
      pauses: faults.pauses,
      crashes: this.#crashes.length,
      unfinished: !appsDone(),
      unstoppable: stopped.filter((inOrder) => !inOrder).length,
      seconds: this.#seconds(),
      seed,
      setting: `${target.name}: ${broker.setting}; outbox and inbox in SQLite, journal_mode WAL`,
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()))
    await this.#proxy?.close()
    await this.#server?.stop()
    this.#ledger.close()
  }

  get #shop(): string {
    return join(this.#folder, 'shop.db')
  }

  get #effects(): string {
    return join(this.#folder, 'effects.db')
  }

  get #temporary(): string {
    return join(this.#folder, 'files')
  }

  #job(place: Place): OutboxJob {
    const seed = this.#options.seed * 1_000 + this.#lives++
    return { place, seed, shop: this.#shop, effects: this.#effects, defect: this.#options.defect }
  }

  #app(n: number, place: Place): Worker {
    const { messages, rate } = this.#options
    const share = n === 0 ? Math.ceil(messages / 2) : Math.floor(messages / 2)
    const customers = Array.from({ length: customersOfEach }, (_, k) => `a${n}-${k}`)
    return this.#worker(`app ${n}`, 'outbox/app.ts', (): AppJob => {
      const count = Math.max(0, share - this.#ledger.placed(customers))
      // Several may relay at once.
      return { ...this.#job(place), customers, count, rate: rate / 2, relay: n === 0 }
    })
  }

  #worker(name: string, program: string, job: () => OutboxJob): Worker {
    const worker: Worker = new Worker({
      name,
      program,
      temporary: this.#temporary,
      job: () => {
        this.#ready.delete(name)
        return job()
      },
      hear: (word) => this.#hear(word, name),
      crashed: (reason) => {
        this.#crashes.push(reason)
        // As whatever supervises an application would.
        setTimeout(() => worker.start(), 500)
      },
    })
    this.#workers.push(worker)
    return worker
  }

  #hear(word: Word, name: string): void {
    if ('trouble' in word) this.#trouble(word.trouble)
    else if ('rolledBack' in word) this.#rolledBack += word.rolledBack
    else if ('ready' in word) this.#ready.add(name)
    else if ('done' in word) this.#done.add(name)
  }

  #trouble(text: string): void {
    // Without ids and numbers, so that the same trouble is counted together.
    const kind = text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '…').replaceAll(/\d+/g, 'N')
    this.#troubles.set(kind, (this.#troubles.get(kind) ?? 0) + 1)
  }

  #happened(what: string): void {
    const [, victim] = /^kill (app|relay|consumer|server)/.exec(what) ?? []
    if (victim !== undefined) this.#killed[victim as keyof OutboxKills]++
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
