import type { JsMsg } from '@nats-io/jetstream'
import { uuidv7 } from '../message/uuid.ts'
import type { NatsContext } from './context.ts'
import { isWrongSequence } from './cursor.ts'
import { Follower } from './follower.ts'
import { fromToken } from './names.ts'

interface Member {
  readonly topics: readonly string[]
  readonly lease: number
  /** Server's clock, Unix milliseconds. */
  readonly seen: number
  readonly seq: number
}

interface Lease {
  readonly owner: string
  readonly seq: number
}

/**
 * Who is in a group and who has which partition, as all its members see it in the same order. Age is told by the server's
 * clock alone: a member's own heartbeat, read back, says what time it is there.
 */
export class Roster {
  readonly id = uuidv7()
  /** Milliseconds of `performance.now()` until which this member may believe that it still has its partitions. */
  private validUntil = 0
  private readonly context: NatsContext
  private readonly group: string
  private readonly topics: readonly string[]
  private readonly onChange: () => void
  private readonly members = new Map<string, Member>()
  private readonly leases = new Map<string, Lease>()
  private follower: Follower | undefined
  /** Server's clock less ours. */
  private offset = 0
  private heard = 0

  constructor(context: NatsContext, group: string, topics: readonly string[], onChange: () => void) {
    this.context = context
    this.group = group
    this.topics = topics
    this.onChange = onChange
  }

  async start(): Promise<void> {
    await this.beat()
    const { names } = this.context
    this.follower = await Follower.open(
      this.context,
      { stream: names.state, filter: names.watched(this.group), from: 'latest-of-each', ahead: 100 },
      (message) => this.take(message),
    )
    await this.follower.ready()
  }

  /** This member is sure of its partitions. */
  get alive(): boolean {
    return performance.now() < this.validUntil
  }

  async beat(): Promise<void> {
    const began = performance.now()
    const { js, names, lease } = this.context
    await js.publish(names.member(this.group, this.id), JSON.stringify({ topics: this.topics, lease }))
    this.validUntil = began + lease
  }

  /** What this member has heard of the others is fresh enough to judge them. */
  private get informed(): boolean {
    return performance.now() < this.heard + this.context.lease
  }

  private isLive(id: string): boolean {
    const member = this.members.get(id)
    if (member === undefined) return false
    return id === this.id || !this.informed || Date.now() + this.offset - member.seen <= member.lease
  }

  /** How many partitions of the topic are to be this member's. */
  share(topic: string, partitions: number): number {
    const live = [...this.members].filter(([id, member]) => member.topics.includes(topic) && this.isLive(id))
    const ids = live.map(([id]) => id).toSorted()
    const place = ids.indexOf(this.id)
    if (place < 0) return 0
    return Math.floor(partitions / ids.length) + (place < partitions % ids.length ? 1 : 0)
  }

  /** Nobody has it, or its owner gave no sign of life. */
  isFree(topic: string, partition: number): boolean {
    const owner = this.ownerOf(topic, partition)
    return owner === '' || owner === this.id || !this.isLive(owner)
  }

  ownerOf(topic: string, partition: number): string {
    return this.leases.get(`${topic}/${partition}`)?.owner ?? ''
  }

  /** Takes the lease if nobody was quicker. */
  async claim(topic: string, partition: number): Promise<boolean> {
    return this.write(topic, partition, this.id)
  }

  async release(topic: string, partition: number): Promise<void> {
    if (this.ownerOf(topic, partition) === this.id) await this.write(topic, partition, '')
  }

  async stop(): Promise<void> {
    this.validUntil = 0
    const { js, names } = this.context
    await js.publish(names.member(this.group, this.id), '').catch(() => {})
    await this.follower?.close()
  }

  /** Forgets the records of members that are long gone. */
  async bury(): Promise<void> {
    if (!this.informed) return
    const now = Date.now() + this.offset
    for (const [id, { seen, lease, seq }] of this.members) {
      if (now - seen <= 10 * lease) continue
      this.members.delete(id)
      await this.context.jsm.streams.deleteMessage(this.context.names.state, seq, false).catch(() => {})
    }
  }

  private async write(topic: string, partition: number, owner: string): Promise<boolean> {
    const { js, names } = this.context
    const key = `${topic}/${partition}`
    try {
      const expect = { lastSubjectSequence: this.leases.get(key)?.seq ?? 0 }
      const { seq } = await js.publish(names.lease(this.group, topic, partition), owner, { expect })
      if (seq > (this.leases.get(key)?.seq ?? 0)) this.leases.set(key, { owner, seq })
      return true
    } catch (error) {
      if (isWrongSequence(error)) return false
      throw error
    }
  }

  private take(message: JsMsg): void {
    const [, , kind, name = '', partition] = this.context.names.tokens(message.subject)
    const text = message.string()
    const seen = Number(message.timestampNanos / 1_000_000n)
    if (kind === 'lease') {
      const key = `${fromToken(name)}/${partition}`
      if (message.seq > (this.leases.get(key)?.seq ?? 0)) this.leases.set(key, { owner: text, seq: message.seq })
    } else if (text === '') {
      this.members.delete(name)
      // Nobody needs the note any more once it has been heard.
      void this.context.jsm.streams.deleteMessage(this.context.names.state, message.seq, false).catch(() => {})
    } else {
      const known = this.members.has(name)
      const { topics, lease } = JSON.parse(text) as { topics: string[]; lease: number }
      this.members.set(name, { topics, lease, seen, seq: message.seq })
      if (name === this.id) {
        this.offset = seen - Date.now()
        this.heard = performance.now()
      }
      if (known) return
    }
    this.onChange()
  }
}
