/** `npm run chaos -- outbox`: orders and their events in one transaction, a relay, a broker, effects with an inbox; all of it killed. */
import { join } from 'node:path'
import { Faults } from '../faults.ts'
import { capabilitiesOf } from '../place.ts'
import { type ChaosOptions, Scene } from '../scene.ts'
import { settled } from '../settled.ts'
import type { Place } from '../words.ts'
import type { Worker } from '../worker.ts'
import { OutboxLedger } from './ledger.ts'
import type { AppJob, Defect, OutboxJob } from './order.ts'
import { judge, type OutboxChaosResult, type OutboxKills } from './result.ts'

export interface OutboxChaosOptions extends ChaosOptions {
  readonly defect?: Defect
}

const customersOfEach = 16

export function runOutboxChaos(options: OutboxChaosOptions): Promise<OutboxChaosResult> {
  return Scene.on(options, async (scene) => {
    const run = new OutboxRun(options, scene)
    try {
      return await run.run()
    } finally {
      await scene.close()
      run.close()
    }
  })
}

class OutboxRun {
  readonly #options: OutboxChaosOptions
  readonly #scene: Scene
  readonly #ledger: OutboxLedger
  readonly #killed: OutboxKills = { app: 0, relay: 0, consumer: 0, server: 0 }
  #rolledBack = 0

  constructor(options: OutboxChaosOptions, scene: Scene) {
    this.#options = options
    this.#scene = scene
    this.#ledger = new OutboxLedger(this.#shop, this.#effects)
  }

  async run(): Promise<OutboxChaosResult> {
    const { broker, patience, target, seed } = this.#options
    const scene = this.#scene
    const place = await scene.open()
    const { order } = await capabilitiesOf(place)
    const consumers = [0, 1].map((n) => this.#worker(`consumer ${n}`, 'consumer.ts', place))
    for (const consumer of consumers) consumer.start()
    await scene.untilReady(consumers)

    const apps = [0, 1].map((n) => this.#app(n, place))
    const relay = this.#worker('relay 0', 'relay.ts', place)
    const appsDone = (): boolean => apps.every((app) => scene.isDone(app))
    const faults = new Faults({
      seed,
      publishers: [relay, ...apps],
      consumers: consumers as [Worker, ...Worker[]],
      server: scene.server,
      proxy: scene.proxy,
      movement: () => this.#ledger.effects,
      ready: (worker) => scene.isReady(worker),
      active: (worker) => {
        const isRelay = worker === relay
        const over = isRelay ? appsDone() : scene.isDone(worker)
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
    scene.tell('the load is over')
    for (const each of [...consumers, relay]) each.start()
    for (const app of apps) if (!scene.isDone(app)) app.start()
    await settled({
      isOver: () => appsDone() && this.#ledger.missing === 0,
      movement: () => this.#ledger.moves,
      patience,
      quiet: 1_000,
    })
    const { pauses } = faults
    const ended = await scene.end([...consumers, relay, ...apps], { unfinished: () => !appsDone(), pauses })
    return judge({
      ...ended,
      order,
      comparison: this.#ledger.compare(),
      rolledBack: this.#rolledBack,
      killed: this.#killed,
      setting: `${target.name}: ${broker.setting}; outbox and inbox in SQLite, journal_mode WAL`,
    })
  }

  close(): void {
    this.#ledger.close()
  }

  get #shop(): string {
    return join(this.#scene.folder, 'shop.db')
  }

  get #effects(): string {
    return join(this.#scene.folder, 'effects.db')
  }

  #job(place: Place): OutboxJob {
    const { defect } = this.#options
    return { place, seed: this.#scene.luck(), shop: this.#shop, effects: this.#effects, defect }
  }

  #app(n: number, place: Place): Worker {
    const { messages, rate } = this.#options
    const share = n === 0 ? Math.ceil(messages / 2) : Math.floor(messages / 2)
    const customers = Array.from({ length: customersOfEach }, (_, k) => `a${n}-${k}`)
    return this.#worker(`app ${n}`, 'app.ts', place, (): AppJob => {
      const count = Math.max(0, share - this.#ledger.placed(customers))
      // Several may relay at once.
      return { ...this.#job(place), customers, count, rate: rate / 2, relay: n === 0 }
    })
  }

  #worker(name: string, program: string, place: Place, job = () => this.#job(place)): Worker {
    return this.#scene.worker({
      name,
      program: `outbox/${program}`,
      job,
      hear: (word) => {
        if ('rolledBack' in word) this.#rolledBack += word.rolledBack
      },
    })
  }

  #happened(what: string): void {
    const [, victim] = /^kill (app|relay|consumer|server)/.exec(what) ?? []
    if (victim !== undefined) this.#killed[victim as keyof OutboxKills]++
    this.#scene.tell(what)
  }
}
