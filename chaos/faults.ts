/** What happens to processes, server and network during the load: each kind at moments of its own, drawn from the seed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { OwnServer } from '../script/servers/start.ts'
import type { Proxy } from './proxy.ts'
import { Random } from './random.ts'
import type { Worker } from './worker.ts'

export interface FaultOptions {
  readonly seed: number
  readonly publishers: readonly [Worker, ...Worker[]]
  readonly consumers: readonly [Worker, ...Worker[]]
  readonly server: OwnServer | undefined
  readonly proxy: Proxy | undefined
  /** A number that grows with each handler run. */
  readonly movement: () => number
  /** Whether it has got to work since it was started last: what is killed before it begins shows little. */
  readonly ready: (worker: Worker) => boolean
  /** Whether a publisher has anything left to publish. */
  readonly active: (publisher: Worker) => boolean
  /** Told of each fault. */
  readonly happened: (what: string) => void
}

export interface Kills {
  publisher: number
  consumer: number
  server: number
}

/** Milliseconds. */
const longestCalm = 15_000

export class Faults {
  readonly kills: Kills = { publisher: 0, consumer: 0, server: 0 }
  /** Consumers that were frozen for a while. */
  pauses = 0
  readonly #options: FaultOptions
  readonly #over = new AbortController()

  constructor(options: FaultOptions) {
    this.#options = options
  }

  /** Whether each kind of victim has been killed at least once; publishers that were done before that are let off. */
  get complete(): boolean {
    const { consumer, server } = this.kills
    return consumer > 0 && (server > 0 || this.#options.server === undefined)
  }

  /** Resolves after `end`, when everything that was killed runs again. Rejects if the server does not come back. */
  async run(): Promise<void> {
    const ending: Promise<void>[] = [this.#killConsumers(), this.#pauseConsumers(), this.#killPublishers()]
    if (this.#options.server !== undefined) ending.push(this.#killServer(this.#options.server))
    if (this.#options.proxy !== undefined) ending.push(this.#disturb(this.#options.proxy))
    try {
      await Promise.all(ending)
    } finally {
      this.end()
      await Promise.allSettled(ending)
    }
  }

  end(): void {
    this.#over.abort()
  }

  async #killConsumers(): Promise<void> {
    const random = new Random(this.#options.seed, 'kill consumers')
    const { consumers, ready } = this.#options
    while (await this.#calm(random.between(500, 4_000), random.between(0, 1_000))) {
      const victims = random.next() < 0.1 ? consumers : [random.pick(consumers)]
      if (random.next() < 0.9) await this.#until(() => victims.every((victim) => ready(victim)))
      this.#happened('consumer', victims)
      await Promise.all(victims.map((victim) => victim.kill()))
      await this.#after(random.between(0, 1_000))
      for (const victim of victims) victim.start()
    }
  }

  /** Longer than the lease, now and then: then others have its messages, and it must not go on with them. */
  async #pauseConsumers(): Promise<void> {
    const random = new Random(this.#options.seed, 'pause consumers')
    const { consumers, ready, happened } = this.#options
    while (await this.#calm(random.between(2_000, 8_000), random.between(0, 1_000))) {
      const victim = random.pick(consumers)
      if (!ready(victim)) continue
      this.pauses++
      happened(`pause ${victim.name}`)
      victim.pause()
      await this.#after(random.between(500, 5_000))
      victim.resume()
    }
  }

  async #killPublishers(): Promise<void> {
    const random = new Random(this.#options.seed, 'kill publishers')
    const { publishers, active, ready } = this.#options
    // The first one soon, so that a short run has one.
    for (let most = 1_500; await this.#calm(random.between(300, most), random.between(0, most / 6)); most = 6_000) {
      const victim = random.pick(publishers)
      await this.#until(() => ready(victim) || !active(victim))
      if (!active(victim)) continue
      this.#happened('publisher', [victim])
      await victim.kill()
      await this.#after(random.between(0, 700))
      if (active(victim)) victim.start()
    }
  }

  async #killServer(server: OwnServer): Promise<void> {
    const random = new Random(this.#options.seed, 'kill server')
    let [least, most] = [1_500, 3_000]
    while (await this.#calm(random.between(least, most), random.between(0, most))) {
      this.kills.server++
      this.#options.happened(`kill server ${server.pid}`)
      const began = performance.now()
      await server.kill9()
      await this.#after(random.between(0, 1_500))
      await server.restart()
      this.#options.happened('server is back')
      // Time for everybody to come back: of a server that takes long to start, everything else does too.
      const away = performance.now() - began
      least = Math.max(1_500, away)
      most = Math.max(9_000, 2 * away)
    }
  }

  async #disturb(proxy: Proxy): Promise<void> {
    const random = new Random(this.#options.seed, 'disturb')
    while (await this.#calm(random.between(300, 5_000), random.between(0, 500))) {
      const what = random.pick(['cut all', 'cut some', 'delay', 'stall'])
      this.#options.happened(what)
      if (what === 'cut all') proxy.cut()
      if (what === 'cut some') proxy.cut(() => random.next() < 0.3)
      if (what === 'delay') proxy.delay = random.between(5, 200)
      if (what === 'stall') proxy.stall()
      await this.#after(random.between(100, what === 'delay' ? 2_000 : 4_000))
      proxy.heal()
    }
    proxy.heal()
  }

  #happened(kind: 'publisher' | 'consumer', victims: readonly Worker[]): void {
    this.kills[kind] += victims.length
    for (const { name } of victims) this.#options.happened(`kill ${name}`)
  }

  /**
   * The time between two faults: so long, and until so much has moved, so that on a slow machine too there is something
   * to disturb. What does not move at all is disturbed nevertheless. False when the load is over.
   */
  async #calm(milliseconds: number, moves: number): Promise<boolean> {
    const { movement, publishers, active } = this.#options
    const enough = movement() + moves
    const deadline = performance.now() + Math.max(longestCalm, milliseconds)
    await this.#after(milliseconds)
    const isStill = (): boolean => performance.now() > deadline || !publishers.some(active)
    await this.#until(() => movement() >= enough || isStill())
    return !this.#over.signal.aborted
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && (await this.#after(20)));
  }

  /** False when the load is over. */
  async #after(milliseconds: number): Promise<boolean> {
    const { signal } = this.#over
    await sleep(milliseconds, undefined, { signal }).catch(() => undefined)
    return !signal.aborted
  }
}
