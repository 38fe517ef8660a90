/** One run of chaos over one broker: load with faults, then quiet, then the comparison. */
import { join } from 'node:path'
import { Faults } from './faults.ts'
import { Ledger } from './ledger.ts'
import { groups } from './message.ts'
import { capabilitiesOf } from './place.ts'
import { type ChaosResult, judge } from './result.ts'
import { type ChaosOptions, Scene } from './scene.ts'
import { settled } from './settled.ts'
import { type Job, machineTime, type Place, type PublisherJob, type Word } from './words.ts'
import type { Worker } from './worker.ts'

export type { ChaosOptions } from './scene.ts'

const keysOfEach = 32

export function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  return Scene.on(options, async (scene) => {
    const ledger = new Ledger(join(scene.folder, 'ledger.db'), groups)
    const progress = setInterval(() => scene.tell(ledger.progress()), 5_000)
    try {
      return await new Run(options, scene, ledger).run()
    } finally {
      clearInterval(progress)
      await scene.close()
      ledger.close()
    }
  })
}

class Run {
  readonly #options: ChaosOptions
  readonly #scene: Scene
  readonly #ledger: Ledger

  constructor(options: ChaosOptions, scene: Scene, ledger: Ledger) {
    this.#options = options
    this.#scene = scene
    this.#ledger = ledger
  }

  async run(): Promise<ChaosResult> {
    const { broker, say, patience, seed, target } = this.#options
    const scene = this.#scene
    const place = await scene.open()
    const { order } = await capabilitiesOf(place)
    const consumers = [0, 1, 2].map((n) => this.#consumer(n, place)) as [Worker, ...Worker[]]
    for (const consumer of consumers) consumer.start()
    await scene.untilReady(consumers)

    const publishers = [0, 1].map((n) => this.#publisher(n, place)) as [Worker, ...Worker[]]
    const isPublished = (): boolean => publishers.every((publisher) => scene.isDone(publisher))
    const faults = new Faults({
      seed,
      publishers,
      consumers,
      server: scene.server,
      proxy: scene.proxy,
      movement: () => this.#ledger.runs,
      ready: (worker) => scene.isReady(worker),
      active: (publisher) => !scene.isDone(publisher),
      happened: (what) => {
        this.#ledger.fault(machineTime(), what)
        scene.tell(what)
      },
    })
    for (const publisher of publishers) publisher.start()
    const disturbed = faults.run()
    // A run that nothing was killed in shows nothing.
    await settled({
      isOver: () => isPublished() && faults.complete,
      movement: () => this.#ledger.moves,
      patience: Math.max(patience, 60_000),
      broken: disturbed,
    })
    faults.end()
    await disturbed
    scene.tell('the load is over')
    for (const consumer of consumers) consumer.start()
    for (const publisher of publishers) if (!scene.isDone(publisher)) publisher.start()
    await settled({
      isOver: () => isPublished() && this.#ledger.open() === 0,
      movement: () => this.#ledger.moves,
      patience,
      quiet: 1_000,
    })
    const { pauses, kills } = faults
    const ended = await scene.end(consumers, { unfinished: () => !isPublished(), pauses })
    const comparison = this.#ledger.compare()
    if (comparison.lost > 0 || (comparison.outOfOrder > 0 && order === 'key'))
      for (const line of this.#ledger.examples()) say(line)
    return judge({ ...ended, broker: target.name, order, comparison, kills, setting: broker.setting })
  }

  #consumer(n: number, place: Place): Worker {
    return this.#scene.worker({
      name: `consumer ${n}`,
      program: 'consumer.ts',
      job: (): Job => ({ place, seed: this.#scene.luck() }),
      hear: (word) => this.#hear(word, n),
    })
  }

  #publisher(n: number, place: Place): Worker {
    const { messages, rate } = this.#options
    const share = n === 0 ? Math.ceil(messages / 2) : Math.floor(messages / 2)
    const keys = Array.from({ length: keysOfEach }, (_, k) => `p${n}-${k}`)
    return this.#scene.worker({
      name: `publisher ${n}`,
      program: 'publisher.ts',
      job: (): PublisherJob => {
        const next = this.#ledger.next(keys)
        const published = Object.values(next).reduce((sum, count) => sum + count, 0)
        return { place, seed: this.#scene.luck(), next, count: share - published, rate: rate / 2 }
      },
      hear: (word) => this.#hear(word, n),
    })
  }

  #hear(word: Word, n: number): void {
    if ('published' in word) this.#ledger.published(word.published)
    else if ('confirmed' in word) this.#ledger.confirmed(word.confirmed)
    else if ('handled' in word) this.#ledger.handled(word.handled, n)
  }
}
