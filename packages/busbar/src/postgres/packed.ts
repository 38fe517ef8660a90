import type { SqlValue, Values } from '../sql/executor.ts'
import { MESSAGE_COLUMNS } from '../sql/rows.ts'
import { ofText } from './values.ts'

/** What is not packed: a body may be large, and whoever keeps an id would keep what it was cut from. */
const APART = ['position', 'id', 'body'] as const
/** A number first: text that began with U+0001 would be taken for a value that does (`values.ts`), before it is cut. */
const OWN = ['time', 'subject', 'key', 'metadata'] as const
/** What is mostly the same in one message after the other comes last, and is cut only where it is not. */
const COMMON = ['type', 'kind', 'source', 'version', 'revision', 'priority', 'content_type'] as const
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
  const values = [...OWN, ...COMMON].map((column) => {
    return NULLABLE.includes(column) ? `COALESCE(${table}.${column}::text, E'\\x01')` : `${table}.${column}`
  })
  return `${APART.map((column) => `${table}.${column}`).join(', ')}, concat_ws(E'\\x1f', ${values.join(', ')}) AS packed`
}

/** Their names, where they are read from elsewhere. */
export const PACKED_COLUMNS = [...APART, 'packed'] as const

/** Where a column is in what `unpacked` gives: behind the position. */
const placeOf = (column: (typeof MESSAGE_COLUMNS)[number]): number => 1 + MESSAGE_COLUMNS.indexOf(column)
const OWN_PLACES = OWN.map(placeOf)
const COMMON_PLACES = COMMON.map(placeOf)
const ID = placeOf('id')
const BODY = placeOf('body')

/** The end of the last row that was cut, and a row with the values that it holds. */
let common = ''
let pattern: readonly SqlValue[] = []

/**
 * The position and then `MESSAGE_COLUMNS`, of a row that begins with `PACKED_COLUMNS`. Undefined where a value holds a separator:
 * such a row has to be read column by column.
 */
export function unpacked([position = null, id = null, body = null, packed]: Values): Values | undefined {
  const text = packed as string
  let [from, end] = [0, 0]
  const own = OWN_PLACES.map(() => {
    end = text.indexOf(SEPARATOR, from)
    const value = text.slice(from, end)
    from = end + 1
    return value
  })
  // With a separator too many it would hold one more.
  const rest = text.slice(from)
  if (rest !== common) {
    const values = rest.split(SEPARATOR)
    if (values.length !== COMMON.length) return undefined
    pattern = rowOf(values)
    common = rest
  }
  const row = [...pattern]
  row[0] = position
  row[ID] = id
  row[BODY] = body
  for (let n = 0; n < own.length; n++) row[OWN_PLACES[n] as number] = valueOf(own[n] as string)
  return row
}

function rowOf(values: readonly string[]): SqlValue[] {
  const row: SqlValue[] = Array.from({ length: 1 + MESSAGE_COLUMNS.length }, () => null)
  for (const [n, value] of values.entries()) row[COMMON_PLACES[n] as number] = valueOf(value)
  return row
}

function valueOf(text: string): SqlValue {
  return text === ABSENT ? null : ofText(text)
}
