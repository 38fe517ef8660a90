/** What is placed and what it leads to, and what processes of this run are told. */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { event, typed } from '../../packages/busbar/src/message/index.ts'
import type { Job } from '../words.ts'

export interface Order {
  readonly id: string
  readonly customer: string
  /** Counts up from 0 within its customer, in the order of the commits. */
  readonly n: number
}

export const OrderPlaced = event('ChaosOrderPlaced', typed<Order>(), { key: ({ customer }) => customer })

/** How a process is made wrong, so that a test sees it found out. */
export type Defect = 'publishes beside the transaction' | 'keeps no inbox'

export interface OutboxJob extends Job {
  /** File of the application's database: orders, and the outbox beside them. */
  readonly shop: string
  /** File of the consumers' database: effects, and the inbox beside them. */
  readonly effects: string
  readonly defect?: Defect | undefined
}

export interface AppJob extends OutboxJob {
  /** Customers whose orders this process alone places. */
  readonly customers: readonly string[]
  /** Orders to place before it is done. */
  readonly count: number
  /** Orders in a second, at most. */
  readonly rate: number
  /** Whether it hands on what is committed, too. */
  readonly relay: boolean
}

export const schema = {
  shop: 'CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, n INTEGER NOT NULL, UNIQUE (customer, n))',
  effects:
    'CREATE TABLE effects (at INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, customer TEXT NOT NULL, n INTEGER NOT NULL)',
}

export function opened(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 20 })
  database.exec('PRAGMA journal_mode = WAL')
  return database
}

/** Other processes write to the same file: the event loop is free while it waits for them. */
export async function begin(database: DatabaseSync): Promise<void> {
  for (;;) {
    try {
      return database.exec('BEGIN IMMEDIATE')
    } catch (error) {
      if (!String(error).includes('locked')) throw error
      await sleep(1 + Math.random() * 20)
    }
  }
}
