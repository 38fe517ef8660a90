import type { SqlValue, Values } from '../sql/executor.ts'
import { MESSAGE_COLUMNS } from '../sql/rows.ts'
import { ofText } from './values.ts'

/** What is not packed: a body may be large, and whoever keeps an id would keep what it was cut from. */
const APART = ['position', 'id', 'body'] as const
/** A number first: text that began with U+0001 would be taken for a value that does (`values.ts`), before it is cut. */
const PACKED = [
  'time',
  ...MESSAGE_COLUMNS.filter((column) => ![...APART, 'time'].some((one) => one === column)),
] as const
const NULLABLE: readonly string[] = ['subject', 'key', 'revision', 'priority']

/** Between two values (U+001F, the unit separator). In JSON it is an escape, so metadata never has it. */
const SEPARATOR = '\u001f'
/** In the place of NULL. Nothing is stored as this alone: text that begins with it has it twice (`values.ts`). */
const ABSENT = '\u0001'

/**
 * The columns that a message is read with: three of their own and one text with all the others, since each column costs the client
 * far more than cutting it out of a text, and the server no less.
 */
export function packedColumns(table: string): string {
  const values = PACKED.map((column) => {
    return NULLABLE.includes(column) ? `COALESCE(${table}.${column}::text, E'\\x01')` : `${table}.${column}`
  })
  return `${APART.map((column) => `${table}.${column}`).join(', ')}, concat_ws(E'\\x1f', ${values.join(', ')}) AS packed`
}

/** Their names, where they are read from elsewhere. */
export const PACKED_COLUMNS = [...APART, 'packed'] as const

/** Where a column is in what `unpacked` gives: behind the position. */
const PLACES = PACKED.map((column) => 1 + MESSAGE_COLUMNS.indexOf(column))

/**
 * The position and then `MESSAGE_COLUMNS`, of a row that begins with `PACKED_COLUMNS`. Undefined where a value holds a separator:
 * such a row has to be read column by column.
 */
export function unpacked([position = null, id = null, body = null, packed]: Values): Values | undefined {
  const values = (packed as string).split(SEPARATOR)
  if (values.length !== PLACES.length) return undefined
  const row: SqlValue[] = [position, id, null, null, null, null, null, null, null, null, null, null, null, body]
  for (let n = 0; n < values.length; n++) {
    const value = values[n] as string
    if (value !== ABSENT) row[PLACES[n] as number] = ofText(value)
  }
  return row
}
