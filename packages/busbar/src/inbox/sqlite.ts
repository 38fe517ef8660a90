import { DatabaseSync } from 'node:sqlite'
import type { Inbox } from '../transaction/inbox.ts'
import { inSqlite } from '../transaction/begin.ts'
import { fromNodeSqlite } from '../transaction/node-sqlite.ts'
import { inbox, type InboxSettings } from './inbox.ts'

export interface SqliteInboxSettings extends InboxSettings {
  /** Milliseconds to wait for a lock that somebody else holds; the event loop stays free. Default 30 000. */
  readonly busyTimeout?: number
}

/**
 * An inbox in an SQLite file, with a connection of its own, or in a `DatabaseSync` of yours that nobody else uses meanwhile:
 * whoever does is in the same transaction.
 *
 * SQLite has one writer at a time, so handlers run one after the other, and whoever else writes to the file waits for them:
 * keep them short, and publish with `tx` where the broker is in the same file.
 *
 * @example
 * await bus.subscribe(OrderPlaced, ({ data }, { tx }) => {
 *   tx.client.prepare('INSERT INTO shipments …').run(data.orderId)
 * }, { group: 'shipping', inbox: sqliteInbox('shipping.db') })
 */
export function sqliteInbox(
  database: DatabaseSync | string | URL,
  settings: SqliteInboxSettings = {},
): Inbox<DatabaseSync> {
  const { busyTimeout = 30_000, ...rest } = settings
  const isOurs = typeof database === 'string' || database instanceof URL
  let db = isOurs ? undefined : database
  let last: Promise<unknown> = Promise.resolve()
  const open = (): DatabaseSync => (db ??= opened(database as string | URL))
  return inbox<DatabaseSync>({
    ...rest,
    toTransaction: fromNodeSqlite,
    transaction: (work) => {
      const running = last.then(() => {
        const current = open()
        return inSqlite(current, busyTimeout, () => work(current))
      })
      last = running.catch(() => {})
      return running
    },
    close: () => {
      if (!isOurs) return
      db?.close()
      db = undefined
    },
  })
}

function opened(file: string | URL): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 20 })
  db.exec('PRAGMA journal_mode = WAL')
  return db
}
