/**
 * The sender's own book: each message is written down before it is published, and marked when the broker has confirmed it.
 * What is found unmarked at a start is published again, with the same id: nothing is lost, and a handler can tell.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'

import { type Message, uuidv7 } from 'busbar'

import { transaction } from './database.ts'
import { keyOf, messageOf, type Payload, payloads } from './payloads.ts'

/** Messages of one publish. */
const BATCH = 100

interface Planned {
  readonly n: number
  readonly id: string
  readonly payload: number
  readonly sequence: number
}

export class Ledger {
  /** The job that this start begins, or goes on with. */
  readonly run: number
  /** Whether an earlier start had begun the job. */
  readonly resumed: boolean
  private readonly database: DatabaseSync
  private readonly keys = payloads.map(keyOf)
  private readonly insert: StatementSync
  private readonly next: StatementSync
  private readonly unconfirmed: StatementSync
  private readonly confirm: StatementSync

  constructor(database: DatabaseSync) {
    this.database = database
    this.insert = database.prepare('INSERT INTO sent (run, id, payload, key, sequence) VALUES (?, ?, ?, ?, ?)')
    this.next = database.prepare(
      `INSERT INTO line VALUES (?, 1) ON CONFLICT DO UPDATE SET sequence = sequence + 1 RETURNING sequence`,
    )
    this.unconfirmed = database.prepare(
      `SELECT n, id, payload, sequence FROM sent WHERE confirmed = 0 ORDER BY n LIMIT ?`,
    )
    this.confirm = database.prepare('UPDATE sent SET confirmed = 1 WHERE n BETWEEN ? AND ?')
    const open = database.prepare('SELECT id FROM run WHERE finished = 0').get()
    this.resumed = open !== undefined
    this.run = Number(open?.['id'] ?? database.prepare('INSERT INTO run DEFAULT VALUES').run().lastInsertRowid)
  }

  /** Plans every payload `rounds` times, unless an earlier start of this job has done it. Returns the rounds that hold. */
  planRounds(rounds: number): number {
    const { rounds: planned } = this.database.prepare('SELECT rounds FROM run WHERE id = ?').get(this.run) as {
      rounds: number | null
    }
    if (planned !== null) return planned
    transaction(this.database, () => {
      for (let n = 0; n < rounds * payloads.length; n++) this.planOne(n % payloads.length)
      this.database.prepare('UPDATE run SET rounds = ? WHERE id = ?').run(rounds, this.run)
    })
    return rounds
  }

  /** Plans the next payloads, going round: after the last comes the first again. */
  plan(count: number): void {
    transaction(this.database, () => {
      const last = this.database.prepare('SELECT payload FROM sent ORDER BY n DESC LIMIT 1').get()
      const from = Number(last?.['payload'] ?? -1) + 1
      for (let i = 0; i < count; i++) this.planOne((from + i) % payloads.length)
    })
  }

  private planOne(payload: number): void {
    const key = this.keys[payload] as string
    const sequence = Number(this.next.get(key)?.['sequence'])
    this.insert.run(this.run, uuidv7(), payload, key, sequence)
  }

  /** Publishes the next planned messages, in order, and marks them. Returns how many; 0 when nothing is left to send. */
  async send(publish: (messages: readonly Message[]) => Promise<void>): Promise<number> {
    const batch = this.unconfirmed.all(BATCH) as unknown as Planned[]
    const [first, last] = [batch[0], batch.at(-1)]
    if (first === undefined || last === undefined) return 0
    await publish(batch.map((planned) => messageOf(payloads[planned.payload] as Payload, planned)))
    this.confirm.run(first.n, last.n)
    return batch.length
  }

  /** Adds what the bus has counted since it was last asked, so that a killed process takes little of it along. */
  count(retried: number, redelivered: number): void {
    this.database
      .prepare('UPDATE run SET retried = retried + ?, redelivered = redelivered + ? WHERE id = ?')
      .run(retried, redelivered, this.run)
  }

  /** The job is done: the next start begins a new one. */
  finish(): void {
    this.database.prepare('UPDATE run SET finished = 1 WHERE id = ?').run(this.run)
  }
}
