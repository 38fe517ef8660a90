/** The two databases side by side: every committed order, and every effect. */
import { DatabaseSync } from 'node:sqlite'
import { opened, schema } from './order.ts'

export interface OutboxComparison {
  /** Orders that are committed. */
  readonly orders: number
  /** Of them, those with an effect. */
  readonly effects: number
  /** Orders without an effect. */
  readonly missing: number
  /** Effects of orders that were never committed. */
  readonly invented: number
  /** Effects beyond the first of an order. */
  readonly duplicated: number
  /** Effects that came after that of a later order of their customer. */
  readonly outOfOrder: number
}

export class OutboxLedger {
  readonly #database: DatabaseSync

  constructor(shop: string, effects: string) {
    for (const [file, table] of [
      [shop, schema.shop],
      [effects, schema.effects],
    ] as const) {
      const database = opened(file)
      database.exec(table)
      database.close()
    }
    this.#database = new DatabaseSync(':memory:', { timeout: 10_000 })
    this.#database.prepare('ATTACH ? AS shop').run(shop)
    this.#database.prepare('ATTACH ? AS done').run(effects)
  }

  /** Grows with each order and each effect. */
  get moves(): number {
    return this.#count('SELECT (SELECT COUNT(*) FROM shop.orders) + (SELECT COUNT(*) FROM done.effects)')
  }

  get effects(): number {
    return this.#count('SELECT COUNT(*) FROM done.effects')
  }

  /** Orders of some customers that are committed. */
  placed(customers: readonly string[]): number {
    return this.#count('SELECT COUNT(*) FROM shop.orders WHERE customer IN (SELECT value FROM json_each(?))', customers)
  }

  get missing(): number {
    return this.#count(
      'SELECT COUNT(*) FROM shop.orders o WHERE NOT EXISTS (SELECT 1 FROM done.effects e WHERE e.id = o.id)',
    )
  }

  compare(): OutboxComparison {
    const orders = this.#count('SELECT COUNT(*) FROM shop.orders')
    const { missing } = this
    return {
      orders,
      missing,
      effects: orders - missing,
      invented: this.#count(
        'SELECT COUNT(DISTINCT id) FROM done.effects e WHERE NOT EXISTS (SELECT 1 FROM shop.orders o WHERE o.id = e.id)',
      ),
      duplicated: this.#count('SELECT COUNT(*) - COUNT(DISTINCT id) FROM done.effects'),
      outOfOrder: this.#count(`
        SELECT COUNT(*) FROM (
          SELECT n, MAX(n) OVER (PARTITION BY customer ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
          FROM (SELECT customer, n, MIN(at) AS at FROM done.effects e
            WHERE EXISTS (SELECT 1 FROM shop.orders o WHERE o.id = e.id) GROUP BY id)
        ) WHERE before > n`),
    }
  }

  close(): void {
    this.#database.close()
  }

  #count(sql: string, list?: readonly string[]): number {
    const statement = this.#database.prepare(sql)
    statement.setReturnArrays(true)
    const row = list === undefined ? statement.get() : statement.get(JSON.stringify(list))
    return (row as unknown as [number])[0]
  }
}
