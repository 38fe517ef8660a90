import type { SqlValue, Values } from '../sql/executor.ts'
import { MESSAGE_COLUMNS } from '../sql/rows.ts'
import { ofText } from './values.ts'

/** What is not packed: a body may be large, and whoever keeps an id would keep what it was cut from. */
const APART = ['position', 'id', 'body'] as const
const NUMBERS = ['time', 'version', 'revision'] as const
const TEXTS = MESSAGE_COLUMNS.filter((column) => ![...APART, ...NUMBERS].some((one) => one === column))

const COUNT = TEXTS.length + NUMBERS.length
const SPACE = 32
const MINUS = 45
const SEMICOLON = 59
const ZERO = 48

/**
 * The columns that a message is read with: as three of their own and one text with all the others, since each column costs the
 * client far more than cutting it out of a text. The text begins with the bytes of each of `TEXTS` and the values of `NUMBERS`,
 * with a space between two of them and nothing for NULL; then comes a semicolon, then the texts one behind the other.
 */
export function packedColumns(table: string): string {
  const lengths = TEXTS.map((column) => `COALESCE(octet_length(${table}.${column})::text, '')`)
  const numbers = NUMBERS.map((column) => `COALESCE(${table}.${column}::text, '')`)
  const head = `concat_ws(' ', ${[...lengths, ...numbers].join(', ')})`
  const texts = `concat(${TEXTS.map((column) => `${table}.${column}`).join(', ')})`
  return `${APART.map((column) => `${table}.${column}`).join(', ')}, ${head} || ';' || ${texts} AS packed`
}

/** Their names, where they are read from elsewhere. */
export const PACKED_COLUMNS = [...APART, 'packed'] as const

/** Where a column is in what `unpacked` gives: behind the position. */
const placeOf = (column: string): number => 1 + (MESSAGE_COLUMNS as readonly string[]).indexOf(column)
const PLACES = [...TEXTS, ...NUMBERS].map(placeOf)

/** The position and then `MESSAGE_COLUMNS`, of a row that begins with `PACKED_COLUMNS`. */
export function unpacked([position = null, id = null, body = null, packed]: Values): Values {
  const text = packed as string
  const row: SqlValue[] = [position, id, null, null, null, null, null, null, null, null, null, null, null, body]
  const head = headOf(text)
  let from = head.end
  let length = 0
  for (let n = 0; n < TEXTS.length; n++) length += head.values[n] ?? 0
  // More bytes than letters: it is cut in bytes.
  const bytes = length === text.length - from ? undefined : Buffer.from(text.slice(from))
  if (bytes !== undefined) from = 0
  for (let n = 0; n < COUNT; n++) {
    const value = head.values[n] ?? null
    if (value === null || n >= TEXTS.length) row[PLACES[n] as number] = value
    else {
      const to = from + value
      row[PLACES[n] as number] = ofText(bytes === undefined ? text.slice(from, to) : bytes.toString('utf8', from, to))
      from = to
    }
  }
  return row
}

/** The numbers before the semicolon. */
function headOf(text: string): { readonly values: readonly (number | null)[]; readonly end: number } {
  const values: (number | null)[] = []
  let number: number | null = null
  let isNegative = false
  let at = 0
  for (let code = SPACE; code !== SEMICOLON && at < text.length; at++) {
    code = text.charCodeAt(at)
    if (code === SPACE || code === SEMICOLON) {
      values.push(isNegative && number !== null ? -number : number)
      number = null
      isNegative = false
    } else if (code === MINUS) isNegative = true
    else number = (number ?? 0) * 10 + (code - ZERO)
  }
  return { values, end: at }
}
