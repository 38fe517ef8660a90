import { performance } from 'node:perf_hooks'
import type { JobJson } from 'bullmq'
import type { BullMqContext } from './context.ts'
import { begun, countsOf, handedOut, mayCrash } from './counts.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import type { Queue } from './queues.ts'
import { run } from './scripts.ts'
import { fromJobData } from './wire.ts'

/** Fetches under way at once, at most. */
const MOST_FETCHES = 64

/** What a fetch brings: a job, or when the next delayed one is due (0: none). */
export type Fetched = readonly [JobJson | null, string, number, number] | readonly []

/** The member that an intake works for. */
export interface IntakeHost {
  readonly id: string
  readonly handing: boolean
  /** Places that are free. */
  readonly room: number
  /** A place is taken before the job is fetched. */
  reserve(): void
  /** It is not needed, or has become free. */
  free(): void
  handOut(intake: Intake, delivery: HandedOut): void
  /** A job came though nothing is handed out any more. */
  giveBack(intake: Intake, delivery: HandedOut): void
  failed(error: unknown): void
}

/** One queue of a member: fetches its jobs, keeps their locks, and knows which of them are unsettled. */
export class Intake implements DeliveryOwner {
  readonly queue: Queue
  /** The queue was empty when it was last looked at; its marker tells when that changes. */
  idle = false
  /** Unix milliseconds at which the next delayed job is due; Infinity: none that we know of. */
  nextDue = Infinity
  readonly unsettled = new Set<HandedOut>()

  private readonly context: BullMqContext
  private readonly host: IntakeHost
  private fetching = 0
  private burst = 1
  private tokens = 0

  constructor(context: BullMqContext, host: IntakeHost, queue: Queue) {
    this.context = context
    this.host = host
    this.queue = queue
  }

  get busy(): boolean {
    return this.fetching > 0 || this.unsettled.size > 0
  }

  /** Fetches as much as there is room for, carefully at first: an empty queue is asked once. */
  pump(): void {
    while (this.host.handing && !this.idle && this.host.room > 0 && this.fetching < this.burst) void this.fetch()
  }

  /** The queue has something, or may have. */
  wake(): void {
    this.idle = false
    this.nextDue = Infinity
    this.pump()
  }

  /** A job came with the answer to another one's verdict: it has that one's place. False: none came. */
  take(fetched: Fetched, token: string, asked: number): boolean {
    const [job, id, , due] = fetched
    if (job === undefined || job === null) {
      this.rest(due ?? 0)
      return false
    }
    this.burst = Math.min(this.burst * 2, MOST_FETCHES)
    this.receive(job, String(id), token, asked)
    return true
  }

  /** Notes that a further run begins. Told to the server only; a failure to do so costs a count, not the message. */
  async began(delivery: HandedOut, attempts: number): Promise<void> {
    delivery.begun = Math.max(delivery.begun, attempts)
    if (delivery.state !== 'out') return
    const counts = delivery.suspect ? mayCrash(delivery.counts) : delivery.counts
    await this.mark(delivery, begun({ ...counts, stalled: delivery.counts.stalled }, delivery.begun)).catch(() => false)
  }

  /** Before a suspect is handed out. False: it is not ours any more. */
  markSuspect(delivery: HandedOut): Promise<boolean> {
    return this.mark(delivery, mayCrash(delivery.counts))
  }

  async mark(delivery: HandedOut, counts: object): Promise<boolean> {
    delivery.marked = true
    const key = this.queue.job(delivery.jobId)
    const args = [key, `${key}:lock`, delivery.token, JSON.stringify(counts)]
    return Number(await run(this.context.redis, 'busbarMark', args)) === 1
  }

  /** Renews the locks of all that is unsettled. What is lost is told. */
  async renew(lost: (delivery: HandedOut) => void): Promise<void> {
    const all = [...this.unsettled]
    if (all.length === 0) return
    const asked = performance.now()
    const ids = all.map(({ jobId }) => jobId)
    const tokens = all.map(({ token }) => token)
    const failed = new Set(await this.queue.backend.extendLocks(ids, tokens, this.context.settings.lease))
    for (const delivery of all) {
      // One whose verdict is being stored hears of it there: it may be settled by now, and so have no lock.
      if (failed.has(delivery.jobId) && delivery.state !== 'storing' && this.unsettled.has(delivery)) lost(delivery)
      else delivery.until = asked + this.context.settings.lease
    }
  }

  private async fetch(): Promise<void> {
    this.fetching++
    this.host.reserve()
    const token = `${this.host.id}:${++this.tokens}`
    const asked = performance.now()
    let taken = false
    try {
      const fetched = (await this.queue.backend.moveToActive(token)) as unknown as Fetched
      taken = this.take(fetched, token, asked)
    } catch (error) {
      this.rest(0)
      this.host.failed(error)
    } finally {
      this.fetching--
      if (!taken) this.host.free()
    }
    this.pump()
  }

  private rest(due: number): void {
    this.idle = true
    this.burst = 1
    this.nextDue = due > 0 ? due : Infinity
  }

  private receive(job: JobJson, id: string, token: string, asked: number): void {
    const { queue, context } = this
    const position = `${queue.name}#${id}`
    const { message, error } = fromJobData(job.name ?? '', job.data, position)
    const delivery = new HandedOut({
      owner: this,
      jobId: id,
      token,
      topic: queue.topic,
      position,
      message,
      unreadable: error,
      counts: handedOut(countsOf(job.progress), job.stalledCounter),
      until: asked + context.settings.lease,
    })
    this.unsettled.add(delivery)
    if (this.host.handing) this.host.handOut(this, delivery)
    else this.host.giveBack(this, delivery)
  }
}
