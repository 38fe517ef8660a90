import { AppendAgainError, type EventStore, type KnownEvent, type RecordedEvent } from '../eventstore/index.ts'
import { uuidv7 } from '../message/index.ts'
import { categoryOf } from '../store/index.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { ProjectionChangedError, ProjectionPoisonedError } from './errors.ts'
import { complete, type ProjectionsOptions } from './options.ts'
import { contractsOf, type Projection } from './projection.ts'
import { ProjectionHost } from './projection-host.ts'
import { runsOf } from './runs.ts'
import { sqlModel, type SqlModel } from './sql-model.ts'
import type { SqlReadModel } from './sql-read-model.ts'

/** Milliseconds that appends wait at most while a new build is shown. */
const LONGEST_FREEZE = 5_000

/**
 * Projections whose models change in the transaction of each append: whoever has appended reads them at once. An event that a projection
 * cannot apply is not appended. The read model is in the database of the event store.
 *
 * A model that is not there yet, or of a new version, is built beside; while it is shown, appends wait for a moment.
 *
 * @example
 * const inline = new InlineProjections(store, new SqlReadModel(database), [Stock])
 * await inline.start()
 */
export class InlineProjections {
  readonly #store: EventStore
  readonly #model: SqlReadModel
  readonly #projections: readonly Projection<SqlModel>[]
  readonly #options: Required<ProjectionsOptions>
  readonly #owner = uuidv7()
  readonly #stopping = new AbortController()
  #uninline: (() => void) | undefined

  constructor(
    store: EventStore,
    model: SqlReadModel,
    projections: readonly Projection<SqlModel>[],
    options: ProjectionsOptions = {},
  ) {
    this.#store = store
    this.#model = model
    this.#projections = projections
    this.#options = complete(options)
    for (const contract of projections.flatMap(contractsOf)) store.learn(contract)
  }

  /** Resolves when every model is there, whole and shown. @throws ProjectionChangedError */
  async start(): Promise<void> {
    await this.#model.start()
    this.#uninline = this.#store.inline((tx, recorded) => this.#apply(tx, recorded))
    for (const projection of this.#projections) await this.#ensure(projection)
  }

  /** Builds a model anew beside the live one, and shows it. */
  async rebuild(name: string): Promise<void> {
    const projection = this.#projections.find((one) => one.name === name)
    if (projection !== undefined) await this.#build(projection, true)
  }

  /** Appends of this process do not keep the models any more. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#uninline?.()
  }

  async #ensure(projection: Projection<SqlModel>): Promise<void> {
    const { name, version, fingerprint } = projection
    const { live } = await this.#model.builds(name)
    if (
      live !== undefined &&
      (live.version > version || (live.version === version && live.fingerprint !== fingerprint))
    ) {
      throw new ProjectionChangedError(name, live.version, version)
    }
    if (live?.version !== version) await this.#build(projection, false)
  }

  /** Until it is live: another process may be at the same. */
  async #build(projection: Projection<SqlModel>, anew: boolean): Promise<void> {
    const { name } = projection
    const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
    const shared = { store: this.#store, model: this.#model, owner: this.#owner, options: this.#options, wait }
    const { number } = await this.#model.begin(projection, anew)
    const host = new ProjectionHost(shared, projection, true)
    await host.start()
    try {
      while (!this.#stopping.signal.aborted) {
        const { live, next } = await this.#model.builds(name)
        if ((live?.number ?? 0) >= number || next?.number !== number) return
        const failed = (await this.#model.progress(name)).find(({ poison }) => poison !== undefined)?.poison
        if (failed !== undefined) throw new ProjectionPoisonedError(name, failed)
        if (!(await host.isBuilt(next))) await wait(10)
        else if (await this.#show(host, next)) return
      }
    } finally {
      await host.stop()
    }
  }

  /** Holds up appends, applies the last of them, and shows it. False: it took too long, and they go on with the old one. */
  async #show(host: ProjectionHost<SqlModel>, next: Parameters<SqlReadModel['switchFrozen']>[0]): Promise<boolean> {
    const { name } = next
    const until = performance.now() + LONGEST_FREEZE
    await this.#model.freeze(name, LONGEST_FREEZE)
    while (performance.now() < until) {
      if (await host.hasAll(next)) return this.#model.switchFrozen(next)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await this.#model.unfreeze(name)
    this.#options.logger.warn(
      { projection: name },
      `projection '${name}': the new model could not be shown in time; trying again`,
    )
    return false
  }

  async #apply(tx: Transaction, recorded: readonly RecordedEvent[]): Promise<void> {
    for (const projection of this.#projections) {
      const events = recorded.filter((each): each is KnownEvent => isFor(projection, each))
      if (events.length === 0) continue
      const live = await this.#model.liveIn(tx, projection.name)
      if (live === 'frozen') throw new AppendAgainError(`projection '${projection.name}' is just being shown anew`)
      // Until the first build is shown, that one gets it. So does the new version of an old live one.
      if (live === undefined || live.version < projection.version) continue
      if (live.version > projection.version)
        throw new ProjectionChangedError(projection.name, live.version, projection.version)
      const model = sqlModel(tx, live, live.tables)
      for (const { handler, events: few } of runsOf(projection, events)) await handler.apply(few, model)
    }
  }
}

function isFor({ events, categories }: Projection<SqlModel>, { event, stream }: RecordedEvent): boolean {
  return events.has(event.type) && (categories === undefined || categories.includes(categoryOf(stream)))
}
