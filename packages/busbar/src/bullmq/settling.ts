import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Failure, Redeliver, Verdict } from '../broker/index.ts'
import { pauseAfter } from '../broker/backoff.ts'
import type { BullMqContext } from './context.ts'
import { cleared } from './counts.ts'
import type { HandedOut } from './delivery.ts'
import type { Fetched, Intake } from './intake.ts'
import { run } from './scripts.ts'

/** Milliseconds before a job that was released goes back, so that it does not come and go in a circle. */
const RELEASE_PAUSE = 20

/** What BullMQ says of a job whose lock is not ours, or that is settled: see its `ErrorCode`. */
const NOT_OURS: readonly unknown[] = [-1, -2, -3, -6]

export interface SettlingHost {
  readonly group: string
  /** Another job may come with the answer. */
  readonly handing: boolean
  /** Nothing is tried again any more. */
  readonly gone: boolean
  /** It is settled or lost. */
  ended(delivery: HandedOut): void
  /** A place is taken, or free. */
  reserve(): void
  free(): void
}

/** Carries out verdicts. Each is tried until it is stored, or until the job is known not to be ours any more. */
export class Settling {
  private readonly context: BullMqContext
  private readonly host: SettlingHost
  /** Dead letters of a broadcast go to the queue of its name: its own goes with it. */
  private readonly letters: ((intake: Intake, delivery: HandedOut, failure: Failure) => Promise<void>) | undefined

  constructor(context: BullMqContext, host: SettlingHost, letters?: Settling['letters']) {
    this.context = context
    this.host = host
    this.letters = letters
  }

  settle(intake: Intake, delivery: HandedOut, verdict: Verdict): void {
    if (delivery.state !== 'out' && delivery.state !== 'held') return
    delivery.state = 'storing'
    if ('ack' in verdict) void this.ack(intake, delivery)
    else if ('redeliver' in verdict) void this.redeliver(intake, delivery, verdict.redeliver)
    else if ('deadLetter' in verdict) void this.deadLetter(intake, delivery, verdict.deadLetter)
    else void this.release(intake, delivery, this.host.handing ? RELEASE_PAUSE : 0)
  }

  /** Another member has it by now, or nobody. */
  lose(intake: Intake, delivery: HandedOut): void {
    delivery.abort()
    this.finish(intake, delivery)
  }

  async release(intake: Intake, delivery: HandedOut, pause: number): Promise<void> {
    if (pause > 0) await sleep(pause)
    const { counts, begun, marked, jobId, token } = delivery
    await this.store(intake, delivery, async () => {
      if (marked || begun > counts.attempts)
        await intake.mark(delivery, { ...counts, attempts: Math.max(begun, counts.attempts) })
      await intake.queue.backend.moveJobFromActiveToWait(jobId, token)
    })
    this.finish(intake, delivery)
  }

  /** The answer to the ack brings the next job, which has its place. */
  private async ack(intake: Intake, delivery: HandedOut): Promise<void> {
    const { jobId, token } = delivery
    const job = { id: jobId, opts: {} } as never
    let asked = 0
    let more = false
    const done = await this.store(intake, delivery, async (again) => {
      asked = performance.now()
      more = this.host.handing && !again
      return intake.queue.backend.moveToCompleted(job, null, true, token, more)
    })
    const next = done?.result
    if (!more || !Array.isArray(next)) return this.finish(intake, delivery)
    // A job that came is ours, whatever has become of this one meanwhile.
    if (delivery.state === 'done') this.host.reserve()
    else this.end(intake, delivery)
    if (!intake.take(next as unknown as Fetched, token, asked)) this.host.free()
  }

  private async redeliver(intake: Intake, delivery: HandedOut, given: Redeliver): Promise<void> {
    const { jobId, token, counts, redeliveries, firstFailedAt = given.firstFailedAt } = delivery
    const due = Date.now() + Math.max(0, Math.ceil(given.after))
    const attempts = Math.max(delivery.begun, given.attempts)
    const progress = { ...cleared(counts, attempts), redeliveries: redeliveries + 1, firstFailedAt }
    await this.store(intake, delivery, async () => {
      const now = Date.now()
      const fieldsToUpdate = { progress: JSON.stringify(progress) }
      await intake.queue.backend.moveToDelayed(jobId, now, Math.max(0, due - now), token, { fieldsToUpdate })
      intake.nextDue = Math.min(intake.nextDue, due)
    })
    this.finish(intake, delivery)
  }

  private async deadLetter(intake: Intake, delivery: HandedOut, given: Failure): Promise<void> {
    const { jobId, token, counts, message } = delivery
    const attempts = Math.max(delivery.begun, given.attempts)
    const failure = { ...given, attempts }
    const { queue } = intake
    const job = { id: jobId, opts: { attempts: 1 } } as never
    await this.store(intake, delivery, async () => {
      if (this.letters !== undefined) {
        await this.letters(intake, delivery, failure)
        await queue.backend.moveToCompleted(job, null, true, token, false)
        return
      }
      const { redis, registry } = this.context
      const keys = [queue.index, queue.backend.keys['failed'] as string, registry.shelvesKey]
      const shelf = JSON.stringify({ group: queue.group, topic: queue.topic })
      const before = await run(redis, 'busbarNote', [...keys, message.id, jobId, queue.name, shelf])
      const fields = {
        progress: JSON.stringify({ ...cleared(counts, attempts), failure }),
        stacktrace: JSON.stringify(failure.error.stack === undefined ? [] : [failure.error.stack]),
      }
      await queue.backend.moveToFailed(job, reasonOf(failure), false, token, false, fields)
      if (typeof before !== 'string') return
      await run(redis, 'busbarDiscard', [queue.index, keys[1] as string, before, message.id, queue.backend.toKey('')])
    })
    this.finish(intake, delivery)
  }

  /** Undefined: the job is not ours any more, or nothing is tried again. */
  private async store<T>(
    intake: Intake,
    delivery: HandedOut,
    attempt: (again: boolean) => Promise<T>,
  ): Promise<T | undefined> {
    for (let failures = 0; delivery.state !== 'done' && !this.host.gone;) {
      try {
        return await attempt(failures > 0)
      } catch (error) {
        if (NOT_OURS.includes((error as { readonly code?: unknown }).code)) {
          // After a failure it may well have been stored with an answer that never came.
          if (failures === 0) delivery.abort()
          return undefined
        }
        if (++failures === 1) this.tell(intake, delivery, error)
        await sleep(pauseAfter(failures))
      }
    }
    return undefined
  }

  private tell(intake: Intake, delivery: HandedOut, error: unknown): void {
    this.context.settings.logger.error(
      {
        group: this.host.group,
        topic: delivery.topic,
        queue: intake.queue.name,
        job: delivery.jobId,
        err: String(error),
      },
      'cannot store what became of a message: it stays unsettled, and this is tried again',
    )
  }

  private finish(intake: Intake, delivery: HandedOut): void {
    if (delivery.state === 'done') return
    this.end(intake, delivery)
    this.host.free()
  }

  private end(intake: Intake, delivery: HandedOut): void {
    delivery.state = 'done'
    intake.unsettled.delete(delivery)
    this.host.ended(delivery)
  }
}

/** What BullMQ's own tools show. */
export function reasonOf({ reason, error }: Failure): string {
  return `${reason}: ${error.name}: ${error.message}`
}
