import type { Failure, Outgoing, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import { Entry, type Reading } from './entry.ts'
import { ParkedKeys } from './keys.ts'
import type { MemoryMember, Sharing } from './member.ts'

/** What a group needs of its broker. */
export interface GroupHost {
  /** Calls back in `ms` milliseconds unless the broker has stopped. */
  later(ms: number, callback: () => void): void
  putAside(group: MemoryGroup, entry: Entry, failure: Failure): void
}

/** Hand-outs in one turn of the event loop, before timers and sockets get theirs. */
const BURST = 1_024

/** Its `then` is a microtask for less than half of what `queueMicrotask` costs, which makes a resource for async hooks of each. */
const SOON = Promise.resolve()

/** One group: what waits for it, who its members are, and which member has which key. */
export class MemoryGroup implements Sharing {
  readonly name: string
  readonly members: MemoryMember[] = []
  /** The topics that it reads. */
  readonly topics = new Map<string, Reading>()
  readonly parkedKeys: ParkedKeys | undefined
  private readonly queue = new Fifo<Entry>()
  /** Which member has deliveries of a key, and how many. Only kept while there are several members. */
  private readonly owners = new Map<string, { readonly member: MemoryMember; count: number }>()
  private readonly host: GroupHost
  private budget = BURST
  private scheduled = false
  private nextMember = 0

  constructor(name: string, host: GroupHost, onFailure: SubscriptionSpec['onFailure']) {
    this.name = name
    this.host = host
    this.parkedKeys = onFailure === 'park' ? new ParkedKeys() : undefined
  }

  /** What it takes is handed out in a later microtask, so that no publish waits for a handler. */
  reading(topic: string): Reading {
    const known = this.topics.get(topic)
    if (known !== undefined) return known
    const reading: Reading = {
      lag: 0,
      redelivering: 0,
      accept: (outgoing, sequence) => {
        reading.lag++
        this.requeue(new Entry(outgoing, sequence, reading))
      },
    }
    this.topics.set(topic, reading)
    return reading
  }

  /** Takes a message that was put aside; it goes before those parked behind it. */
  takeBack(outgoing: Outgoing, sequence: number): void {
    const reading = this.reading(outgoing.topic)
    reading.lag++
    this.bringBack(new Entry(outgoing, sequence, reading), 0)
  }

  private requeue(entry: Entry): void {
    if (this.parkedKeys?.admit(entry) === false) return
    this.queue.push(entry)
    if (!this.scheduled) {
      this.scheduled = true
      void SOON.then(this.turn)
    }
  }

  join(member: MemoryMember): void {
    const first = this.members.length === 1 ? [...this.members] : []
    this.members.push(member)
    if (this.members.length > 1) {
      for (const holder of [...first, member]) for (const entry of holder.held()) this.own(entry, holder)
    }
    this.pump()
  }

  /** The member has stopped: what it has not settled goes back to where it was. */
  leave(member: MemoryMember, givenBack: readonly Entry[]): void {
    this.members.splice(this.members.indexOf(member), 1)
    for (const [key, owner] of this.owners) if (owner.member === member) this.owners.delete(key)
    if (this.members.length < 2) this.owners.clear()
    const entries = this.parkedKeys?.restore(givenBack) ?? givenBack.toSorted((a, b) => a.sequence - b.sequence)
    if (this.parkedKeys === undefined) this.queue.prepend(entries)
    else this.queue.prepend(entries.filter((entry) => this.parkedKeys?.admit(entry)))
    this.pump()
  }

  /** Makes a verdict true. The member has forgotten the delivery already. */
  settle(member: MemoryMember, entry: Entry, verdict: Verdict): void {
    const { key } = entry.message
    if ('release' in verdict) {
      member.giveBack(entry)
      return
    }
    this.disown(key)
    if ('ack' in verdict) {
      entry.reading.lag--
      this.passOn(key)
    } else if ('redeliver' in verdict) {
      const { after, attempts, firstFailedAt } = verdict.redeliver
      const again = entry.again()
      again.attempts = attempts
      again.redeliveries++
      again.failedAt = firstFailedAt
      this.bringBack(again, after)
    } else {
      entry.reading.lag--
      this.parkedKeys?.block(key)
      this.host.putAside(this, entry, verdict.deadLetter)
    }
    if (this.queue.length > 0 || member.backlog.length > 0) this.pump()
  }

  /** An entry that is out of line comes again after `ms` milliseconds. */
  private bringBack(entry: Entry, ms: number): void {
    this.parkedKeys?.block(entry.message.key)
    entry.returning = this.parkedKeys !== undefined
    entry.reading.redelivering++
    const back = (): void => {
      entry.reading.redelivering--
      this.requeue(entry)
    }
    if (ms <= 0) back()
    else this.host.later(ms, back)
  }

  /** The head of a parked key is done with: the next one may go. */
  passOn(key: string | undefined): void {
    const next = this.parkedKeys?.next(key)
    if (next !== undefined) this.requeue(next)
  }

  private readonly turn = (): void => {
    this.scheduled = false
    this.budget = BURST
    this.pump()
  }

  /** Hands out while there is something to hand out and a member with room. */
  pump(): void {
    for (const member of this.members) this.drainBacklog(member)
    while (this.queue.length > 0) {
      if (this.spent()) return
      const entry = this.queue.peek() as Entry
      const member = this.memberFor(entry)
      if (member === undefined) return
      this.queue.shift()
      this.own(entry, member)
      if (member.hasRoom()) member.handOut(entry)
      else member.backlog.push(entry)
    }
  }

  private drainBacklog(member: MemoryMember): void {
    while (member.backlog.length > 0 && member.hasRoom() && !this.spent())
      member.handOut(member.backlog.shift() as Entry)
  }

  /** Whether this turn has handed out enough; then the rest follows in the next. */
  private spent(): boolean {
    if (this.budget-- > 0) return false
    if (!this.scheduled) {
      this.scheduled = true
      setImmediate(this.turn)
    }
    return true
  }

  /** Whoever has the key; else the next member with room. Undefined: nobody has room. */
  private memberFor(entry: Entry): MemoryMember | undefined {
    const { members } = this
    if (members.length === 1) return members[0]?.hasRoom() === true ? members[0] : undefined
    const { key } = entry.message
    const owner = key === undefined ? undefined : this.owners.get(key)
    // A message of a key that a full member has waits for that member, so that other keys can pass; not without bound.
    if (owner !== undefined) return owner.member.backlog.length < BURST ? owner.member : undefined
    for (let tried = 0; tried < members.length; tried++) {
      this.nextMember = (this.nextMember + 1) % members.length
      if (members[this.nextMember]?.hasRoom() === true) return members[this.nextMember]
    }
    return undefined
  }

  private own(entry: Entry, member: MemoryMember): void {
    const { key } = entry.message
    if (this.members.length < 2 || key === undefined) return
    const owner = this.owners.get(key)
    if (owner === undefined) this.owners.set(key, { member, count: 1 })
    else owner.count++
  }

  private disown(key: string | undefined): void {
    if (this.members.length < 2 || key === undefined) return
    const owner = this.owners.get(key)
    if (owner !== undefined && --owner.count === 0) this.owners.delete(key)
  }
}
