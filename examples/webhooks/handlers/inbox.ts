/** What each group notes down of the messages that it has handled: the evidence for order, loss and duplicates. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'

import type { HandlerContext, Message } from 'busbar'

import { transaction } from '../database.ts'

/** Told of each message that was handled, for the live view. */
export type Handled = (group: string, message: Message) => void

/**
 * Runs effects at most once for each message and group: the note and the effect are one transaction, so a message that
 * comes again (at least once is what the bus promises) is seen to be a duplicate and has no second effect.
 */
export class Inbox {
  readonly database: DatabaseSync
  private readonly handled: Handled
  private readonly insert: StatementSync
  private readonly again: StatementSync

  constructor(database: DatabaseSync, handled: Handled = () => {}) {
    this.database = database
    this.handled = handled
    this.insert = database.prepare(
      'INSERT OR IGNORE INTO handled (consumer, id, key, sequence, attempt) VALUES (?, ?, ?, ?, ?)',
    )
    this.again = database.prepare('UPDATE handled SET times = times + 1 WHERE consumer = ? AND id = ?')
  }

  /** @param effect Given the place at which the group has handled the message, counted over all groups. */
  once(message: Message, { group, attempt }: HandlerContext, effect: (place: number) => void): void {
    transaction(this.database, () => {
      const sequence = Number(message.metadata['sequence'])
      const noted = this.insert.run(group, message.id, message.key ?? '', sequence, attempt)
      if (noted.changes === 0) this.again.run(group, message.id)
      else effect(Number(noted.lastInsertRowid))
    })
    this.handled(group, message)
  }
}
