import { blamed } from '../broker/blamed.ts'
import type { Aside } from './asides.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import { reasonOf } from './errors.ts'
import type { PartitionHost, PartitionView } from './host.ts'
import type { Intake } from './intake.ts'

/** Failures after which the pause before the next try of a read is about half a second. */
const A_WHILE = 4

/** What a partition does with a redelivery that has been read. */
export interface Returning extends PartitionView, DeliveryOwner {
  readonly lost: boolean
  /** It is with a handler, or about to be. */
  isOpen(entry: string): boolean
  returned(delivery: HandedOut): void
}

/** Reads what is set aside and due, as far as there is room in the window. */
export class Redeliveries {
  private readonly host: PartitionHost
  private readonly owner: Returning
  private readonly intake: Intake
  private reading = false

  constructor(host: PartitionHost, owner: Returning, intake: Intake) {
    this.host = host
    this.owner = owner
    this.intake = intake
  }

  take(): void {
    if (this.reading) return
    const { window } = this.host
    const taken: Aside[] = []
    let alone = false
    for (const aside of this.intake.due()) {
      if (this.owner.isOpen(aside.entry)) continue
      const inherited = this.intake.inheritedAsides.get(aside.offset)
      const suspect = inherited?.suspect === true
      if (suspect && (alone || !window.mayRun(inherited))) continue
      if (!window.enter(this.owner)) break
      alone ||= suspect
      if (suspect && inherited.crashes > 0) blamed.begin(aside)
      taken.push(aside)
    }
    if (taken.length > 0) void this.readAll(taken)
  }

  private async readAll(taken: readonly Aside[]): Promise<void> {
    this.reading = true
    await Promise.all(taken.map((aside) => this.read(aside).finally(() => blamed.end(aside))))
    this.reading = false
    this.owner.wake()
  }

  private async read(aside: Aside): Promise<void> {
    const { host, intake, owner } = this
    const { topic, partition } = owner
    try {
      const message = await host.context.asides.read(intake.asidePlace, aside.offset)
      if (message !== undefined && !owner.lost && intake.has(aside)) {
        const { attempts = 0, crashes = 0, suspect = false } = intake.inheritedAsides.get(aside.offset) ?? {}
        intake.inheritedAsides.delete(aside.offset)
        const from = { topic: topic.name, partition, aside, attempts, crashes, suspect }
        return owner.returned(new HandedOut(message, from, owner))
      }
      if (message === undefined) intake.drop(aside)
    } catch (error) {
      const fields = { group: host.group, topic: topic.name, partition, err: reasonOf(error) }
      host.context.logger.warn(fields, 'a redelivery cannot be read: trying again')
      await sleep(pauseAfter(A_WHILE))
    }
    host.window.leave(1)
  }
}
