import type { Position } from '../store/index.ts'
import { pauseAfter } from '../broker/backoff.ts'
import type { EventStore, KnownEvent, UnreadableEventError } from '../eventstore/index.ts'
import { type Batch, readBatch } from './batch.ts'
import type { ProjectionsOptions } from './options.ts'
import type { Projection } from './projection.ts'
import type { Build } from './build.ts'
import type { PartitionClaim, Poison, ReadModel, Step } from './read-model.ts'
import { runsOf } from './runs.ts'

/** What a runner is given by the projection that it works for. */
export interface RunnerHost<Model> {
  readonly store: EventStore
  readonly model: ReadModel<Model>
  readonly projection: Projection<Model>
  readonly owner: string
  readonly options: Required<ProjectionsOptions>
  /** Whether this process may have a partition, or has its share of them. */
  mayHold(runner: PartitionRunner<Model>): boolean
  /** Something has come to an end for now: caught up, lost, refused. */
  idle(): void
  /** Resolves when there may be something to do. */
  wait(milliseconds: number): Promise<void>
}

/** Milliseconds of the longest pause between two tries of one event. */
const LONGEST_PAUSE = 2_000

/** Applies the events of one partition of a build, for as long as it has the claim to it. */
export class PartitionRunner<Model> {
  readonly build: Build
  readonly partition: number
  readonly #host: RunnerHost<Model>
  readonly #ended: Promise<void>
  #stopping = false
  #claim: PartitionClaim | undefined
  /** By `performance.now()`. */
  #claimedAt = -Infinity
  /** Read while what is before it was applied. */
  #ahead: { readonly after: Position; readonly batch: Promise<Batch> } | undefined

  constructor(host: RunnerHost<Model>, build: Build, partition: number) {
    this.#host = host
    this.build = build
    this.partition = partition
    this.#ended = this.#run()
  }

  get isHolding(): boolean {
    return this.#claim !== undefined
  }

  /** Resolves when the step that is under way has ended and the claim is given up. */
  stop(): Promise<void> {
    this.#stopping = true
    return this.#ended
  }

  async #run(): Promise<void> {
    const { logger, pollInterval } = this.#host.options
    for (let failures = 0; !this.#stopping;) {
      try {
        const goesOn = this.#host.mayHold(this) ? await this.#advance() : await this.#giveUp()
        failures = 0
        if (goesOn || this.#stopping) continue
        // What was read may be forgotten meanwhile.
        this.#ahead = undefined
        this.#host.idle()
        await this.#host.wait(pollInterval)
      } catch (error) {
        this.#claim = this.#ahead = undefined
        const { name } = this.#host.projection
        logger.warn(
          { projection: name, partition: this.partition, err: String(error) },
          `projection '${name}': trying again`,
        )
        await this.#host.wait(pauseAfter(++failures))
      }
    }
    await this.#giveUp().catch(() => {})
  }

  /** One step. False where there is nothing to do for now. */
  async #advance(): Promise<boolean> {
    if (this.#claim === undefined || performance.now() > this.#claimedAt + this.#host.options.lease / 3) {
      await this.#takeClaim()
    }
    if (this.#claim === undefined) return false
    const batch = await this.#read(this.#claim.position)
    const { events, unreadable, isEnd } = batch
    if (!isEnd && unreadable === undefined) this.#readAhead(batch.position)
    if (events.length > 0 || batch.position !== this.#claim.position || isEnd) {
      await this.#apply(events, batch.position, isEnd)
    }
    if (this.#claim !== undefined && unreadable !== undefined) await this.#poisoned(unreadableOf(unreadable))
    return this.#claim !== undefined && !isEnd
  }

  async #takeClaim(): Promise<void> {
    const { model, owner, options } = this.#host
    const at = performance.now()
    this.#claim = await model.claim(this.build, this.partition, owner, options.lease)
    this.#claimedAt = at
  }

  #read(after: Position): Promise<Batch> {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (ahead?.after === after) return ahead.batch
    const { store, projection, options } = this.#host
    return readBatch(store, projection, this.partition, after, options.batch)
  }

  #readAhead(after: Position): void {
    const batch = this.#read(after)
    // Whoever takes it is told.
    batch.catch(() => {})
    this.#ahead = { after, batch }
  }

  async #apply(events: readonly KnownEvent[], position: string, caughtUp: boolean): Promise<void> {
    const { model, projection, options } = this.#host
    const claim = this.#claim as PartitionClaim
    const until = performance.now() + options.lease / 3
    const runs = runsOf(projection, events)
    let done = 0
    let failed: readonly KnownEvent[] = []
    let failure: unknown
    try {
      this.#claim = await model.step(claim, async (own): Promise<Step> => {
        done = 0
        for (const { handler, events: few } of runs) {
          // A long batch is cut, so that the claim is renewed in time.
          if (done > 0 && performance.now() > until) {
            return { position: (events[done - 1] as KnownEvent).position, applied: done, caughtUp: false }
          }
          try {
            await handler.apply(few, own)
          } catch (error) {
            failed = few
            failure = error
            throw error
          }
          done += few.length
        }
        return { position, applied: done, caughtUp }
      })
      return
    } catch (error) {
      if (failed.length === 0) throw error
    }
    // All was taken back: what is before those that failed again without them, then they alone.
    if (done > 0) await this.#apply(events.slice(0, done), (events[done - 1] as KnownEvent).position, false)
    if (failed.length === 1) await this.#alone(failed[0] as KnownEvent, failure)
    else await this.#oneByOne(failed, failure)
  }

  /** Events that failed together: which of them it is, if it is one. */
  async #oneByOne(events: readonly KnownEvent[], failure: unknown): Promise<void> {
    const { name } = this.#host.projection
    this.#host.options.logger.warn(
      { projection: name, events: events.length, err: textOf(failure) },
      `projection '${name}' cannot apply ${events.length} events together: applying them one by one`,
    )
    for (const event of events) {
      const before = this.#claim
      if (before === undefined || this.#stopping) return
      await this.#apply([event], event.position, false)
      // It was poison, or there was no time: from there it is read again.
      if (this.#claim?.position !== event.position) return
    }
  }

  /** An event that failed once: with pauses until it works, or is poison. */
  async #alone(event: KnownEvent, thrown: unknown): Promise<void> {
    const { model, projection, options } = this.#host
    let failure = thrown
    if (this.#claim === undefined) return
    for (let retry = 1; retry <= options.retries && !this.#stopping; retry++) {
      await this.#host.wait(pauseAfter(retry, LONGEST_PAUSE))
      await this.#takeClaim()
      if (this.#claim === undefined) return
      let isOurs = false
      try {
        this.#claim = await model.step(this.#claim, async (own): Promise<Step> => {
          isOurs = true
          await projection.events.get(event.event.type)?.apply([event], own)
          return { position: event.position, applied: 1, caughtUp: false }
        })
        return
      } catch (error) {
        if (!isOurs) throw error
        failure = error
      }
    }
    if (this.#stopping) return
    const { stream, revision, position } = event
    options.logger.error(
      { projection: projection.name, stream, revision, position, err: textOf(failure) },
      `projection '${projection.name}' cannot apply ${event.event.type}, revision ${revision} of '${stream}'`,
    )
    await this.#poisoned({ stream, revision, position, type: event.event.type, error: textOf(failure), at: Date.now() })
  }

  async #poisoned(poison: Poison): Promise<void> {
    const { model, options } = this.#host
    const claim = this.#claim as PartitionClaim
    if (options.onPoison === 'skip') {
      const step = { position: poison.position, applied: 0, caughtUp: false, skipped: poison }
      this.#claim = await model.step(claim, async () => step)
      return
    }
    await model.stopAt(claim, poison)
    this.#claim = undefined
  }

  async #giveUp(): Promise<false> {
    const claim = this.#claim
    this.#claim = undefined
    if (claim !== undefined) await this.#host.model.release(claim)
    return false
  }
}

function unreadableOf(error: UnreadableEventError): Poison {
  const { stream, revision, position, type } = error
  return { stream, revision, position, type, error: textOf(error), at: Date.now() }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 1_000) : String(error).slice(0, 1_000)
}
