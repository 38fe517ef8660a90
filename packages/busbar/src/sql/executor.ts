/** How the SQL layer talks to a database. One implementation for each client; nothing here knows which. */

export type SqlValue = null | number | bigint | string | Uint8Array

/** A row in the order of its columns. */
export type Values = readonly SqlValue[]

export type Row = Readonly<Record<string, SqlValue>>

/** Statements are written with `?` placeholders; an implementation prepares each text once. */
export interface Statements {
  /** All rows of a query. */
  all(sql: string, params?: readonly SqlValue[]): Promise<Row[]>
  /**
   * All rows of a query as lists of their values: cheaper, for the many rows of the log. With `enough`, reading ends after
   * the first row for which it says true: a bound on memory that cannot be said in SQL.
   */
  values(sql: string, params?: readonly SqlValue[], enough?: (row: Values) => boolean): Promise<Values[]>
  /** Runs a statement; resolves to the number of rows that it changed. */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>
  /** Runs one statement for each list of values, in order; outside of `write` in a transaction of its own. */
  runMany(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void>
  /** As `runMany`, of an INSERT; resolves to the row id of the last. Absent: rows have none, or it would tell too little. */
  insertMany?(sql: string, rows: readonly (readonly SqlValue[])[]): Promise<SqlValue>
}

export interface Executor extends Statements {
  /**
   * Connects. Rejects with an error that names the database and says what to do.
   *
   * @param look Called before anything of the database is changed; where it rejects, nothing is.
   */
  open(look?: (sql: Statements) => Promise<unknown>): Promise<void>
  /** Runs `work` on one consistent view of the database. */
  read<T>(work: (sql: Statements) => Promise<T>): Promise<T>
  /**
   * Runs `work` in one transaction that excludes other writers of the same rows, and commits it. If anything in it fails,
   * nothing of it has happened. Waits for its turn, in the order of the calls. `work` awaits nothing but its statements.
   */
  write<T>(work: (sql: Statements) => Promise<T>): Promise<T>
  /** Throws in a function that is part of a transaction which whatever is written now would wait for. Absent: nothing waits for it. */
  assertOutside?(): void
  /** Whether somebody else may have committed since the last call. */
  changedElsewhere(): Promise<boolean>
  /** Tells other processes, soon and at least once, that something was committed. Absent: they see it by themselves. */
  announce?(): void
  /** Calls `hint` when another process says that it has committed something. Never the only way to learn of it. */
  onHint?(hint: () => void): void
  /**
   * A stop has so many milliseconds: no call waits longer than that for a server that is away, or a second longer for a lock that
   * somebody else holds.
   */
  hurry?(milliseconds: number): void
  /** A start is to end: what waits for a server or for a lock fails now. Only `close` comes after it. */
  interrupt(): void
  /** Whether it failed only because the connection broke: the same may work a moment later. Absent: never. */
  passes?(error: unknown): boolean
  /** Whether the database ended a transaction because two waited for each other: nothing of it has happened. Absent: never. */
  isEntangled?(error: unknown): boolean
  /** Safe to call twice. */
  close(): Promise<void>
}
