/** The application: one bus, three groups, and the tables in which they keep what they know. */
import { statSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

import { createEventBus, type EventBus, type Message, silentLogger } from 'busbar'

import { contracts } from './contracts.ts'
import { openDatabase } from './database.ts'
import { subscribeActivity } from './handlers/activity.ts'
import { Inbox } from './handlers/inbox.ts'
import { MirrorClient } from './handlers/mirror-client.ts'
import { subscribeMirror } from './handlers/mirror.ts'
import { subscribeNotify } from './handlers/notify.ts'
import { Ledger } from './ledger.ts'
import type { Place } from './place.ts'

export const GROUPS = ['activity', 'notify', 'mirror'] as const

export interface Hooks {
  /** Told of each message that a group has handled. */
  readonly handled?: (group: string, message: Message) => void
}

export class App {
  readonly bus: EventBus
  readonly database: DatabaseSync
  readonly ledger: Ledger
  readonly client = new MirrorClient()
  private counted = { retried: 0, redelivered: 0 }

  private readonly busFile: string | undefined

  private constructor(bus: EventBus, database: DatabaseSync, busFile: string | undefined) {
    this.bus = bus
    this.database = database
    this.busFile = busFile
    this.ledger = new Ledger(database)
  }

  /** Opens the bus and the tables, and subscribes the groups: from here on they handle what an earlier start left over. */
  static async start(place: Place, { handled }: Hooks = {}): Promise<App> {
    const bus = await createEventBus({
      broker: place.broker,
      source: 'webhooks',
      topics: { event: 'webhooks' },
      contracts: Object.values(contracts),
      // What fails here fails on purpose, and the view shows it.
      logger: silentLogger,
    })
    try {
      // Where the bus forgets when the process ends, a ledger that did not would only miss what is gone.
      const database = openDatabase(bus.getBroker().capabilities.durable ? place.tables : ':memory:')
      const app = new App(bus, database, place.busFile)
      const inbox = new Inbox(database, handled)
      await subscribeActivity(bus, inbox)
      await subscribeNotify(bus, inbox)
      await subscribeMirror(bus, inbox, app.client)
      return app
    } catch (error) {
      await bus.stop()
      throw error
    }
  }

  /** Whether what is not settled is still there at the next start. */
  get durable(): boolean {
    return this.bus.getBroker().capabilities.durable
  }

  /** Whether the broker promises order by key. One that does not is not blamed for passing messages by each other. */
  get ordered(): boolean {
    return this.bus.getBroker().capabilities.order === 'key'
  }

  /** Bytes of the bus's file; undefined where it has none. */
  fileSize(): number | undefined {
    return this.busFile === undefined ? undefined : statSync(this.busFile, { throwIfNoEntry: false })?.size
  }

  /** Publishes what is planned next. Returns how many; 0 when nothing is left. */
  send(): Promise<number> {
    return this.ledger.send((messages) => this.bus.publish(messages))
  }

  /** Notes what is among the dead letters, repairs the mirror and sends them to it again. Returns how many. */
  async repair(): Promise<number> {
    await this.noteDeadLetters()
    this.client.repair()
    return this.bus.deadLetters.redrive({ group: 'mirror' })
  }

  /** Writes down the dead letters, and which of the earlier ones have left: those were redriven. */
  async noteDeadLetters(): Promise<void> {
    const insert = this.database.prepare(
      'INSERT INTO dead (consumer, id) VALUES (?, ?) ON CONFLICT DO UPDATE SET redriven = 0',
    )
    const kept = new Set<string>()
    let page = await this.bus.deadLetters.list()
    for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
      for (const { group, raw } of page) {
        insert.run(group, raw.id)
        kept.add(`${group} ${raw.id}`)
      }
      page = await this.bus.deadLetters.list({}, { after: last.id })
    }
    const left = this.database.prepare('UPDATE dead SET redriven = 1 WHERE consumer = ? AND id = ?')
    for (const { consumer, id } of this.database.prepare('SELECT consumer, id FROM dead WHERE redriven = 0').all()) {
      if (!kept.has(`${String(consumer)} ${String(id)}`)) left.run(consumer ?? null, id ?? null)
    }
  }

  /** Adds the bus's counts since the last call to those of the job. */
  noteCounts(): void {
    const stats = this.bus.subscriptions()
    const retried = stats.reduce((sum, each) => sum + each.retried, 0)
    const redelivered = stats.reduce((sum, each) => sum + each.redelivered, 0)
    this.ledger.count(retried - this.counted.retried, redelivered - this.counted.redelivered)
    this.counted = { retried, redelivered }
  }

  async stop(): Promise<void> {
    await this.bus.stop()
    this.database.close()
  }
}
