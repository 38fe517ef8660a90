import type { Executor, Row, SqlValue } from './executor.ts'
import { partitionOf } from '../broker/partitioning.ts'
import type { Transaction } from '../transaction/transaction.ts'
import type { Foreign } from './foreign.ts'

export interface Topic {
  readonly id: number
  readonly name: string
  /** Fixed when the topic is made. */
  readonly partitions: number
}

/** The least that statements are run by: rows by name, in some transaction. */
interface TopicRows {
  all(sql: string, params?: readonly SqlValue[]): Promise<readonly Row[]>
}

/** The topics of a database. A topic is made when it is first published to or subscribed to. */
export class Topics {
  /** While topics are being made: publishes wait for it, so that none overtakes an earlier one. */
  making: Promise<unknown> | undefined

  private readonly executor: Executor
  private readonly partitions: number
  private readonly byName = new Map<string, Topic>()
  private readonly byId = new Map<number, Topic>()
  private turn = 0

  constructor(executor: Executor, partitions: number) {
    this.executor = executor
    this.partitions = partitions
  }

  /** Undefined where this process has not met the topic yet. */
  known(name: string): Topic | undefined {
    return this.byName.get(name)
  }

  async ensure(names: readonly string[]): Promise<Topic[]> {
    const missing = names.filter((name) => !this.byName.has(name))
    if (missing.length > 0) {
      const making = this.make(missing)
      this.making = making
      try {
        await making
      } finally {
        if (this.making === making) this.making = undefined
      }
    }
    return names.map((name) => this.byName.get(name) as Topic)
  }

  /** Undefined where this process has not met the topic yet. */
  knownName(id: number): string | undefined {
    return this.byId.get(id)?.name
  }

  /**
   * The topics for a transaction of somebody else's. Beside it, unless that would wait for it: then a topic that is new is
   * made in it, and not remembered, because it is there only if that is committed.
   */
  async topicsIn(tx: Transaction, foreign: Foreign, names: readonly string[]): Promise<ReadonlyMap<string, Topic>> {
    if (!foreign.alone) return byName(await this.ensure(names))
    if (names.some((name) => !this.byName.has(name))) await this.all()
    const found: Topic[] = []
    for (const name of names) found.push(this.byName.get(name) ?? (await this.makeIn(tx, foreign, name)))
    return byName(found)
  }

  /** The topic's name, looked up if this process has not met it. */
  async nameOf(id: number): Promise<string> {
    const known = this.byId.get(id)
    if (known !== undefined) return known.name
    const rows = await this.executor.all('SELECT id, name, partitions FROM busbar_topics')
    for (const row of rows) this.remember(row)
    return this.byId.get(id)?.name ?? String(id)
  }

  async all(): Promise<Topic[]> {
    const rows = await this.executor.all('SELECT id, name, partitions FROM busbar_topics ORDER BY name')
    return rows.map((row) => this.remember(row))
  }

  /** Messages of one key share a partition; those without one take turns. */
  partitionFor(topic: Topic, key: string | undefined): number {
    if (key !== undefined) return partitionOf(key, topic.partitions)
    this.turn = (this.turn + 1) % topic.partitions
    return this.turn
  }

  /** As `ensure`, in a transaction that somebody else may roll back: so what is made there is not remembered. */
  async ensureIn(rows: TopicRows, schema: string, names: readonly string[]): Promise<Topic[]> {
    const topics: Topic[] = []
    for (const name of names) topics.push(this.byName.get(name) ?? (await this.find(rows, schema, name)))
    return topics
  }

  private async find(rows: TopicRows, schema: string, name: string): Promise<Topic> {
    const table = `${schema}busbar_topics`
    const select = `SELECT id, name, partitions FROM ${table} WHERE name = ?`
    let [row] = await rows.all(select, [name])
    if (row === undefined) {
      const insert = `INSERT INTO ${table} (name, partitions) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`
      await rows.all(insert, [name, this.partitions])
      ;[row] = await rows.all(select, [name])
    }
    return { id: Number(row?.['id']), name, partitions: Number(row?.['partitions']) }
  }

  private async make(names: readonly string[]): Promise<void> {
    const found = await this.executor.write(async (sql) => {
      const rows: Row[] = []
      for (const name of names) {
        await sql.run('INSERT INTO busbar_topics (name, partitions) VALUES (?, ?) ON CONFLICT (name) DO NOTHING', [
          name,
          this.partitions,
        ])
        rows.push(...(await sql.all('SELECT id, name, partitions FROM busbar_topics WHERE name = ?', [name])))
      }
      return rows
    })
    for (const row of found) this.remember(row)
  }

  private async makeIn(tx: Transaction, { prefix }: Foreign, name: string): Promise<Topic> {
    const table = `${prefix}busbar_topics`
    await tx.execute(`INSERT INTO ${table} (name, partitions) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, [
      name,
      this.partitions,
    ])
    const [row = {}] = await tx.execute(`SELECT id, partitions FROM ${table} WHERE name = ?`, [name])
    const [id, partitions] = Object.values(row)
    return { id: Number(id), name, partitions: Number(partitions) }
  }

  private remember(row: Row): Topic {
    const topic = { id: Number(row['id']), name: row['name'] as string, partitions: Number(row['partitions']) }
    const known = this.byName.get(topic.name)
    if (known !== undefined) return known
    this.byName.set(topic.name, topic)
    this.byId.set(topic.id, topic)
    return topic
  }
}

function byName(topics: readonly Topic[]): ReadonlyMap<string, Topic> {
  return new Map(topics.map((topic) => [topic.name, topic]))
}
