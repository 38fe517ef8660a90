import { pauseAfter, sleep } from './backoff.ts'
import { look, type RabbitContext, withChannel } from './context.ts'
import type { HandedOut } from './delivery.ts'
import { SilentQueueError } from './errors.ts'
import { REGISTER } from './topology.ts'

/** Milliseconds for a register to confirm the first thing that is written to it. */
const SILENT = 10_000
/** Milliseconds for the one who read a register before to put back what is in it, and the pause between two looks. */
const HELD = 1_000
const LOOK = 100

/** What is remembered of one message that is not settled. */
interface Mark {
  /** Runs that have begun, with the one that is cut off if its owner dies. */
  readonly attempts: number
  /** Runs that died, likewise. */
  readonly crashes: number
  /** The owner that left ran it to no end, and is not dead: nothing more is counted. */
  readonly clean?: boolean
}

interface Register {
  readonly version: number
  /** Its owner left in order: whatever it had in hand and did not name was never begun. */
  readonly clean: boolean
  readonly marks: Readonly<Record<string, Mark>>
}

const NONE: Register = { version: 0, clean: false, marks: {} }

/**
 * Runs of a partition's messages that have to be remembered beyond their process: retries, and what was in doubt after a crash.
 *
 * They are kept in a register, a queue that holds its latest message alone, and not in the server's own count of deliveries. That one
 * counts whatever was handed out, begun or not, also when a member leaves in order, and what it counts has changed between
 * 3.10, 4.0 and 4.3. The register costs nothing while nothing fails: it is made by the first write, which may be that of a member
 * that leaves, and read once when a member takes the partition over.
 */
export class Marks {
  private readonly context: RabbitContext
  private readonly queue: string
  private readonly isOurs: () => boolean
  private found: Register = NONE
  private readonly marks = new Map<string, Mark>()
  private version = 0
  private made = false
  private writing: Promise<void> | undefined
  private again: Promise<void> | undefined

  /** `isOurs`: the partition still belongs to this process; nothing is written otherwise. */
  constructor(context: RabbitContext, queue: string, isOurs: () => boolean) {
    this.context = context
    this.queue = queue
    this.isOurs = isOurs
  }

  /** Reads what the owner before has left. Resolves before anything is handed out; a clean leave counts once. */
  async takeOver(): Promise<void> {
    // Tried again, it must not read back what it has written itself.
    if (this.found === NONE) this.found = await this.read()
    this.version = this.found.version
    // A mark of what was settled since is of no use: those that are will be named again when their messages come.
    if (this.found.clean) await this.store(false)
  }

  /** Gives a delivery that somebody had before what is known of its runs. */
  recall(delivery: HandedOut): void {
    const mark = this.found.marks[delivery.mark]
    if (mark === undefined) {
      if (this.found.clean) return
      // Its owner is dead, and may have begun it.
      delivery.suspect = true
      delivery.begun++
      return
    }
    delivery.suspect = mark.clean !== true
    delivery.begun = Math.max(delivery.begun, mark.attempts)
    delivery.crashes = Math.max(delivery.crashes, mark.crashes)
  }

  /** Resolves when it is stored: a run of a suspect begins, or a further run of any; if the process dies it was one more. */
  begin({ mark, begun, crashes }: HandedOut): Promise<void> {
    return this.set(mark, { attempts: begun + 1, crashes: crashes + 1 })
  }

  /** It is settled. */
  forget(delivery: HandedOut): void {
    if (this.marks.size > 0) this.marks.delete(delivery.mark)
  }

  /** The member leaves in order. What it has in hand goes back: `held` was not begun, `cut` was running. Rejects if it cannot be stored. */
  async leave(held: Iterable<HandedOut>, cut: Iterable<HandedOut>): Promise<void> {
    for (const { mark, begun, crashes, suspect } of held) {
      if (begun > 0 || crashes > 0)
        this.marks.set(mark, { attempts: begun, crashes, ...(suspect ? {} : { clean: true }) })
    }
    for (const { mark, begun, crashes } of cut) this.marks.set(mark, { attempts: begun + 1, crashes, clean: true })
    await this.store(true)
  }

  private set(name: string, mark: Mark): Promise<void> {
    this.marks.set(name, mark)
    // One write at a time; what comes meanwhile goes with the next.
    if (this.writing === undefined) return (this.writing = this.storeSurely())
    this.again ??= this.writing.then(() => {
      this.again = undefined
      return (this.writing = this.storeSurely())
    })
    return this.again
  }

  private async storeSurely(): Promise<void> {
    for (let failures = 1; this.isOurs(); failures++) {
      try {
        await this.store(false)
        break
      } catch (error) {
        if (!this.isOurs()) break
        this.context.logger.error(
          { queue: this.queue, err: String(error) },
          'cannot store begun runs in RabbitMQ: trying again',
        )
        await sleep(pauseAfter(failures))
      }
    }
    this.writing = undefined
  }

  private async store(clean: boolean): Promise<void> {
    const register: Register = { version: ++this.version, clean, marks: Object.fromEntries(this.marks) }
    const content = Buffer.from(JSON.stringify(register))
    if (this.made) await this.context.sender.send('', this.queue, content, { persistent: true })
    else await this.make(content)
    this.made = true
  }

  /**
   * Makes the register, if there is none, and writes to it for the first time.
   *
   * If the server was killed in the moment when a quorum queue was made, RabbitMQ (seen with 3.10) can leave it without a leader for ever: it is
   * there, empty, and answers nothing. Registers are made when processes die, which is when servers die, too. Such a one is replaced.
   */
  private async make(content: Buffer): Promise<void> {
    const { context, queue } = this
    await this.declare()
    try {
      return await context.sender.sendAlone(queue, content, { persistent: true }, SILENT)
    } catch (error) {
      if (!(error instanceof SilentQueueError) || !this.isOurs()) throw error
      // Without a majority of its nodes it may be silent, too, and have something in it.
      if (((await look(context, queue))?.messages ?? 0) > 0) throw error
      context.logger.error({ queue, err: error.message }, 'a register of begun runs is of no use: it is made anew')
    }
    await withChannel(context, `delete queue ${queue}`, (channel) => channel.deleteQueue(queue))
    await this.declare()
    await context.sender.sendAlone(queue, content, { persistent: true }, SILENT)
  }

  private async declare(): Promise<void> {
    const options = { durable: true, arguments: { ...REGISTER } }
    await withChannel(this.context, `make queue ${this.queue}`, (channel) => channel.assertQueue(this.queue, options))
  }

  private async read(): Promise<Register> {
    for (const begin = performance.now(); ; await sleep(LOOK)) {
      const messages = (await look(this.context, this.queue))?.messages
      // An empty one is not asked: it may be one that answers nothing.
      if (messages === undefined || (messages === 0 && performance.now() - begin > HELD)) return NONE
      if (messages > 0) break
    }
    return withChannel(this.context, `read queue ${this.queue}`, async (channel) => {
      let latest = NONE
      // They go back when the channel is closed. After a crash there may be two for a moment.
      for (let got = await channel.get(this.queue); got !== false; got = await channel.get(this.queue)) {
        const register = JSON.parse(got.content.toString()) as Register
        if (register.version > latest.version) latest = register
      }
      return latest
    })
  }
}
