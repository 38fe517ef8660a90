/** What was published, what was confirmed and what the handlers of each group did, in SQLite. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Numbered } from './message.ts'
import type { Handling } from './words.ts'

/** What the ledger says when all has settled. */
export interface Comparison {
  /** Messages that were handed to a bus. */
  readonly published: number
  readonly confirmed: number
  /** Confirmed messages that each group has handled. */
  readonly handled: number
  /** Handler runs beyond the first of a message in its group. */
  readonly duplicated: number
  /**
   * Confirmed messages that were too late in a group: the first run of a later message of the same key had begun before
   * the first run of this one ended. Repetitions are duplicates and are not asked.
   */
  readonly outOfOrder: number
  /** Confirmed messages that some group has never handled. */
  readonly lost: number
  /** Handled and never published. */
  readonly unknown: number
  /** Messages that were handled in some group, but whose publisher was killed before it knew of a confirmation. */
  readonly unconfirmed: number
}

export class Ledger {
  readonly #database: DatabaseSync
  readonly #publish: StatementSync
  readonly #confirm: StatementSync
  readonly #handle: StatementSync
  readonly #groups: readonly string[]
  /** Handler runs so far. */
  runs = 0
  /** Grows with each confirmation and each handler run. */
  moves = 0

  constructor(file: string, groups: readonly string[]) {
    this.#groups = groups
    this.#database = new DatabaseSync(file)
    // The run itself is never killed, so what it writes need not reach the disk.
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = OFF;
      CREATE TABLE message (
        key TEXT NOT NULL, n INTEGER NOT NULL, confirmed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (key, n)
      ) WITHOUT ROWID;
      CREATE TABLE handling (
        "group" TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, began REAL NOT NULL, ended REAL NOT NULL,
        process INTEGER NOT NULL
      );
      CREATE INDEX handling_of ON handling ("group", key, n);
      CREATE TABLE fault (at REAL NOT NULL, what TEXT NOT NULL);
      CREATE VIEW first AS
        SELECT "group", key, n, min(ended) AS ended, began FROM handling GROUP BY "group", key, n;
    `)
    this.#publish = this.#database.prepare('INSERT INTO message (key, n) VALUES (?, ?)')
    this.#confirm = this.#database.prepare('UPDATE message SET confirmed = 1 WHERE key = ? AND n = ?')
    this.#handle = this.#database.prepare('INSERT INTO handling VALUES (?, ?, ?, ?, ?, ?)')
  }

  published(messages: readonly Numbered[]): void {
    this.#together(messages, ({ key, n }) => this.#publish.run(key, n))
  }

  confirmed(messages: readonly Numbered[]): void {
    this.moves += messages.length
    this.#together(messages, ({ key, n }) => this.#confirm.run(key, n))
  }

  handled(handlings: readonly Handling[], process: number): void {
    this.runs += handlings.length
    this.moves += handlings.length
    this.#together(handlings, ({ group, key, n, began, ended }) =>
      this.#handle.run(group, key, n, began, ended, process),
    )
  }

  fault(at: number, what: string): void {
    this.#database.prepare('INSERT INTO fault VALUES (?, ?)').run(at, what)
  }

  /** The number of the next message of each key. */
  next(keys: readonly string[]): Record<string, number> {
    const last = this.#database.prepare('SELECT max(n) AS n FROM message WHERE key = ?')
    return Object.fromEntries(keys.map((key) => [key, 1 + ((last.get(key)?.['n'] as number | null) ?? -1)]))
  }

  /** How far it has got, for people. */
  progress(): string {
    const { published, confirmed } = this.#database
      .prepare('SELECT count(*) AS published, sum(confirmed) AS confirmed FROM message')
      .get() as { published: number; confirmed: number | null }
    return `${published} published, ${confirmed ?? 0} confirmed, ${this.runs} handler runs`
  }

  /** Pairs of a group and a confirmed message that it has not handled. */
  open(): number {
    return this.#count(`SELECT count(*) FROM message, (${this.#groupTable()}) g WHERE confirmed AND ${missing}`)
  }

  compare(): Comparison {
    const lost = this.#count(
      `SELECT count(*) FROM message WHERE confirmed AND EXISTS (SELECT 1 FROM (${this.#groupTable()}) g WHERE ${missing})`,
    )
    const confirmed = this.#count('SELECT count(*) FROM message WHERE confirmed')
    return {
      published: this.#count('SELECT count(*) FROM message'),
      confirmed,
      handled: confirmed - lost,
      duplicated: this.runs - this.#count('SELECT count(*) FROM first'),
      outOfOrder: this.#count(`SELECT count(*) FROM (${lateMessages})`),
      lost,
      unknown: this.#count(
        'SELECT count(*) FROM first WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.key = first.key AND m.n = first.n)',
      ),
      unconfirmed: this.#count(
        'SELECT count(*) FROM message m WHERE NOT confirmed AND EXISTS (SELECT 1 FROM handling h WHERE h.key = m.key AND h.n = m.n)',
      ),
    }
  }

  /** The first of what is wrong, for people. */
  examples(): readonly string[] {
    const lost = this.#database
      .prepare(
        `SELECT g."group", key, n FROM message, (${this.#groupTable()}) g WHERE confirmed AND ${missing} ORDER BY 1, 2, 3 LIMIT 10`,
      )
      .all()
      .map((row) => `lost: ${String(row['key'])} ${String(row['n'])} in ${String(row['group'])}`)
    const late = this.#database
      .prepare(`${lateMessages} LIMIT 10`)
      .all()
      .map(
        (row) =>
          `out of order: ${String(row['key'])} ${String(row['n'])} in ${String(row['group'])} ended at ` +
          `${String(row['ended'])}, a later one began at ${String(row['later'])}`,
      )
    return [...lost, ...late]
  }

  close(): void {
    this.#database.close()
  }

  #groupTable(): string {
    return this.#groups.map((group) => `SELECT '${group}' AS "group"`).join(' UNION ALL ')
  }

  #count(sql: string): number {
    const statement = this.#database.prepare(sql)
    statement.setReturnArrays(true)
    return (statement.get() as unknown as [number])[0]
  }

  #together<T>(rows: readonly T[], write: (row: T) => unknown): void {
    this.#database.exec('BEGIN')
    for (const row of rows) write(row)
    this.#database.exec('COMMIT')
  }
}

const missing =
  'NOT EXISTS (SELECT 1 FROM handling h WHERE h."group" = g."group" AND h.key = message.key AND h.n = message.n)'

/** Of confirmed messages only: one whose publisher was killed may have reached the log after its successor's. */
const lateMessages = `
  SELECT * FROM (
    SELECT "group", first.key, first.n, ended,
      min(began) OVER (
        PARTITION BY "group", first.key ORDER BY first.n ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
      ) AS later
    FROM first JOIN message ON message.key = first.key AND message.n = first.n
    WHERE confirmed
  ) WHERE later < ended`
