import type { Statements } from '../sql/executor.ts'

/** What is otherwise on the server than this Busbar makes it. */
export interface Difference {
  /** `busbar_messages.body`, `busbar_set_aside_due`, `synchronous_commit` … */
  readonly name: string
  readonly expected: string
  readonly found: string
}

/** Tables and the columns that must be there, with their types. */
const COLUMNS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  busbar_meta: { name: 'text', value: 'text' },
  busbar_topics: { id: 'integer', name: 'text', partitions: 'integer' },
  busbar_messages: {
    topic: 'integer',
    partition: 'integer',
    position: 'text',
    id: 'text',
    metadata: 'text',
    body: 'text',
    stream: 'text',
    stream_revision: 'bigint',
    category: 'text',
    correlation: 'text',
    stored_at: 'double precision',
  },
  busbar_streams: { stream: 'text', revision: 'bigint', first: 'bigint', last: 'text', deleted_at: 'double precision' },
  busbar_checkpoints: { name: 'text', position: 'text', owner: 'text', token: 'bigint', expires: 'double precision' },
  busbar_delayed: { seq: 'bigint', due_at: 'double precision', topic: 'integer', partition: 'integer', body: 'text' },
  busbar_cursors: {
    grp: 'text',
    position: 'text',
    open: 'text',
    owner: 'text',
    token: 'bigint',
    expires: 'double precision',
  },
  busbar_members: { grp: 'text', topic: 'integer', member: 'text', expires: 'double precision' },
  busbar_tallies: { topic: 'integer', position: 'text', total: 'bigint', removed: 'bigint', swept: 'text' },
  busbar_notes: { at: 'double precision', position: 'text' },
  busbar_set_aside: {
    entry: 'bigint',
    state: 'text',
    due_at: 'double precision',
    handed: 'integer',
    lane: 'text',
    body: 'text',
  },
}

const INDEXES = [
  'busbar_messages_pkey',
  'busbar_cursors_pkey',
  'busbar_delayed_due',
  'busbar_set_aside_due',
  'busbar_set_aside_lane',
  'busbar_set_aside_message',
  'busbar_events_stream',
  'busbar_events_id',
  'busbar_events_order',
  'busbar_events_type',
  'busbar_events_category',
  'busbar_events_correlation',
  'busbar_events_forgotten',
  'busbar_streams_pkey',
  'busbar_checkpoints_pkey',
]

/** Settings of the server by which a confirmed message can be lost in a crash. */
const SETTINGS: Readonly<Record<string, RegExp>> = {
  fsync: /^on$/,
  full_page_writes: /^on$/,
  synchronous_commit: /^(?!off)/,
}

/** Compares the schema and the server's settings with what the promises of the broker rest on. Changes nothing. */
export async function differences(sql: Statements, schema: string): Promise<readonly Difference[]> {
  const found: Difference[] = []
  const columns = await sql.all(
    'SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns WHERE table_schema = ?',
    [schema],
  )
  for (const [table, expected] of Object.entries(COLUMNS)) {
    for (const [column, type] of Object.entries(expected)) {
      const row = columns.find((one) => one['table_name'] === table && one['column_name'] === column)
      const is = row === undefined ? 'missing' : String(row['data_type'])
      if (is !== type) found.push({ name: `${table}.${column}`, expected: type, found: is })
      else if (column === 'position' && row?.['collation_name'] !== 'C') {
        const collation = (row?.['collation_name'] as string | null) ?? 'the default of the database'
        found.push({ name: `${table}.${column}`, expected: 'collation C', found: `collation ${collation}` })
      }
    }
  }
  const indexes = await sql.all('SELECT indexname FROM pg_indexes WHERE schemaname = ?', [schema])
  for (const name of INDEXES) {
    if (!indexes.some((row) => row['indexname'] === name)) found.push({ name, expected: 'an index', found: 'missing' })
  }
  const tables = await sql.all(
    `SELECT relname, relpersistence FROM pg_class WHERE relnamespace = ?::regnamespace AND relkind = 'r' AND relname LIKE 'busbar_%'`,
    [schema],
  )
  for (const row of tables) {
    if (row['relpersistence'] === 'p') continue
    found.push({ name: row['relname'] as string, expected: 'a logged table', found: 'an unlogged table' })
  }
  for (const [name, right] of Object.entries(SETTINGS)) {
    const [row] = await sql.all(`SELECT reset_val AS value FROM pg_settings WHERE name = ?`, [name])
    const value = String(row?.['value'] ?? '')
    if (!right.test(value))
      found.push({ name, expected: name === 'synchronous_commit' ? 'not off' : 'on', found: value })
  }
  return found
}
