import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import type { BrokerLogger } from '../broker/logger.ts'
import { uuidv7 } from '../message/uuid.ts'
import { pauseAfter } from '../sql/backoff.ts'
import type { Connector } from './connection.ts'
import { Link } from './link.ts'
import { PreparedStatements } from './statements.ts'

/** Milliseconds between two notifications of one process, at least. */
const PAUSE = 5

/**
 * Tells other processes by NOTIFY that there is something, and hears it from them. Only ever a hint: who hears nothing looks
 * at the tables by itself every `pollInterval`. A notification says who sent it and nothing else, so it is far from the
 * limit of 8,000 bytes. It is a statement of its own on a connection of its own, after the commit that it tells of and at
 * most every 5 ms: NOTIFY takes a lock on its way to the commit, which publishers must not wait for.
 */
export class Hints {
  private readonly link: Link
  private readonly statements = new PreparedStatements()
  private readonly channel: string
  private readonly logger: BrokerLogger
  private readonly connector: Connector
  private readonly pollInterval: number
  private readonly id = uuidv7()
  private readonly listeners: (() => void)[] = []
  private heard = false
  private lookedAt = 0
  private toldAt = 0
  private pending = false
  private timer: NodeJS.Timeout | undefined
  private soon: NodeJS.Immediate | undefined
  private listening: Promise<void> | undefined
  private readonly closing = new AbortController()

  constructor(connector: Connector, schema: string, pollInterval: number, logger: BrokerLogger) {
    this.connector = connector
    this.channel = `busbar:${schema}`
    this.pollInterval = pollInterval
    this.logger = logger
    this.link = new Link(connector, this.statements)
    this.link.onConnect = (client) => this.listen(client)
  }

  /** Listens from now on, and again whenever the connection broke. Does not wait for it. */
  start(): void {
    this.listening ??= this.keepListening().finally(() => (this.listening = undefined))
  }

  onHint(hint: () => void): void {
    this.listeners.push(hint)
  }

  /** Was there a hint since the last call, or is it time to look without one? */
  changed(): boolean {
    const now = performance.now()
    if (!this.heard && now - this.lookedAt < this.pollInterval) return false
    this.heard = false
    this.lookedAt = now
    return true
  }

  announce(): void {
    this.pending = true
    if (this.timer !== undefined || this.soon !== undefined) return
    const wait = this.toldAt + PAUSE - performance.now()
    // After the members of this process, which were woken just before, have asked for it themselves.
    if (wait <= 0) this.soon = setImmediate(() => this.tell())
    else this.timer = setTimeout(() => this.tell(), wait)
  }

  async close(): Promise<void> {
    clearTimeout(this.timer)
    clearImmediate(this.soon)
    this.closing.abort()
    if (this.pending && this.link.isOpen) this.tell()
    await this.link.close()
    await this.listening
  }

  private tell(): void {
    this.timer = this.soon = undefined
    // Told when there is a connection again.
    if (!this.link.isOpen) return
    this.pending = false
    this.toldAt = performance.now()
    const notify = this.statements.of('SELECT pg_notify(?, ?)')
    this.link.query(notify, [this.channel, this.id]).catch(() => (this.pending = true))
  }

  private async keepListening(): Promise<void> {
    for (let failures = 0; !this.connector.closed;) {
      try {
        await this.link.open()
        failures = 0
        await this.link.lost()
      } catch (error) {
        if (this.connector.closed) return
        failures++
        this.logger.warn({ err: String(error) }, 'cannot listen for notifications of other processes: trying again')
      }
      const { signal } = this.closing
      await sleep(pauseAfter(Math.max(1, failures)), undefined, { ref: false, signal }).catch(() => {})
    }
  }

  private async listen(client: Client): Promise<void> {
    client.on('notification', ({ payload }) => {
      if (payload === this.id) return
      this.hear()
    })
    // A hint that a crash of the server takes back is no loss.
    await client.query('SET synchronous_commit TO off')
    await client.query(`LISTEN "${this.channel}"`)
    // What was said while nobody listened, in either direction.
    this.hear()
    if (this.pending) setImmediate(() => this.announce())
  }

  private hear(): void {
    this.heard = true
    for (const listener of this.listeners) listener()
  }
}
