import type { SqlValue } from '../sql/executor.ts'
import { numbers, type Parameter, parameter, texts } from './values.ts'

/** A statement as the server gets it, prepared once for each connection under its name. */
export interface Prepared {
  readonly name: string
  readonly text: string
}

/** Columns that are not text, in every table that has them. */
const TYPES: Readonly<Record<string, string>> = {
  topic: 'int4',
  partition: 'int4',
  time: 'int8',
  version: 'int8',
  revision: 'int8',
  due_at: 'float8',
  expires: 'float8',
}

export function columnTypeOf(column: string): string {
  return TYPES[column] ?? 'text'
}

/** An INSERT of many rows: one array for each column. */
export interface Bulk extends Prepared {
  parameters(rows: readonly (readonly SqlValue[])[]): Parameter[]
}

/** The statements of one broker. Each text is turned into Postgres' own way once. */
export class PreparedStatements {
  private readonly known = new Map<string, Prepared>()
  private readonly bulks = new Map<string, Bulk | undefined>()

  /** With `$1` instead of `?`. No statement of `sql/` has a question mark that means anything else. */
  of(sql: string): Prepared {
    const known = this.known.get(sql)
    if (known !== undefined) return known
    let count = 0
    const made = this.named(sql.replace(/\?/g, () => `$${++count}`))
    this.known.set(sql, made)
    return made
  }

  /** The same INSERT for many rows at once; undefined if it is no plain INSERT of values. */
  bulkOf(sql: string): Bulk | undefined {
    if (this.bulks.has(sql)) return this.bulks.get(sql)
    const bulk = this.bulk(sql)
    this.bulks.set(sql, bulk)
    return bulk
  }

  private bulk(sql: string): Bulk | undefined {
    const [, head, list, rest] = /^\s*(INSERT INTO \w+) \(([^)]*)\)\s+VALUES \([?, ]*\)([^?]*)$/.exec(sql) ?? []
    if (list === undefined) return undefined
    const columns = list.split(',').map((column) => column.trim())
    const types = columns.map(columnTypeOf)
    const arrays = types.map((type, index) => `$${index + 1}::${type}[]`)
    const made = this.named(`${head} (${list}) SELECT * FROM unnest(${arrays.join(', ')})${rest}`)
    return {
      ...made,
      parameters: (rows) =>
        types.map((type, index) => {
          const column = rows.map((row) => row[index] ?? null)
          return type === 'text' ? parameter(texts(column)) : numbers(column)
        }),
    }
  }

  private named(text: string): Prepared {
    return { name: `busbar_${this.known.size}_${this.bulks.size}`, text }
  }
}
