/** The application: one bus, three groups, and the tables in which they keep what they know. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

import { createEventBus, type DeadLetterHook, type EventBus, type Message, silentLogger } from 'busbar'

import { contracts } from './contracts.ts'
import { openDatabase } from './database.ts'
import { subscribeActivity } from './handlers/activity.ts'
import { Inbox } from './handlers/inbox.ts'
import { MirrorClient } from './handlers/mirror-client.ts'
import { subscribeMirror } from './handlers/mirror.ts'
import { subscribeNotify } from './handlers/notify.ts'
import { Ledger } from './ledger.ts'

export const GROUPS = ['activity', 'notify', 'mirror'] as const

export interface Place {
  /** URL of the broker. */
  readonly broker: string
  /** File of the example's own tables. Not used with a broker that forgets when the process ends: nor do they then. */
  readonly file: string
}

export interface Hooks {
  /** Told of each message that a group has handled. */
  readonly handled?: (group: string, message: Message) => void
  readonly deadLetter?: DeadLetterHook
}

export class App {
  readonly bus: EventBus
  readonly database: DatabaseSync
  readonly ledger: Ledger
  readonly client = new MirrorClient()
  private counted = { retried: 0, redelivered: 0 }

  private constructor(bus: EventBus, database: DatabaseSync) {
    this.bus = bus
    this.database = database
    this.ledger = new Ledger(database)
  }

  /** Opens the bus and the tables, and subscribes the groups: from here on they handle what an earlier start left over. */
  static async start({ broker, file }: Place, { handled, deadLetter }: Hooks = {}): Promise<App> {
    if (broker.startsWith('sqlite:')) mkdirSync(path.dirname(fileOf(broker)), { recursive: true })
    const bus = await createEventBus(broker, {
      source: 'webhooks',
      topics: { event: 'webhooks' },
      contracts: Object.values(contracts),
      // What fails here fails on purpose, and the view shows it.
      logger: silentLogger,
      ...(deadLetter === undefined ? {} : { onDeadLetter: deadLetter }),
    })
    const app = new App(bus, openDatabase(bus.getBroker().capabilities.durable ? file : ':memory:'))
    const inbox = new Inbox(app.database, handled)
    await subscribeActivity(bus, inbox)
    await subscribeNotify(bus, inbox)
    await subscribeMirror(bus, inbox, app.client)
    return app
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

/** The example's own tables lie beside the bus's file. */
export function placeOf(file: string, broker: string | undefined): Place {
  const { dir, name } = path.parse(path.resolve(file))
  return { broker: broker ?? `sqlite:${path.resolve(file)}`, file: path.join(dir, `${name}-models.db`) }
}

function fileOf(url: string): string {
  return url.slice('sqlite:'.length).replace(/\?.*$/, '')
}
