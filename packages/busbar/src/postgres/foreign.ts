import type { Foreign } from '../sql/foreign.ts'
import { parameter } from './values.ts'

/** Epoch and transaction id, at the beginning of a position. */
const WRITTEN_IN = 19

/**
 * Transactions of others. Their sessions have another search path, other settings and may have written long before they publish,
 * so that their id can be older than those of transactions that were committed meanwhile. What they publish has to come after
 * what those have published: so its position begins with the greatest that is in its partition, if that is greater. It is not
 * read too early for that, since a transaction that is open holds back everything from its own id on; and nothing is passed
 * over, because nobody has read that far.
 */
export function foreignOf(schema: string): Foreign {
  const prefix = `"${schema}".`
  const own = `${prefix}busbar_epoch() || '.' || lpad(to_hex(pg_current_xact_id()::text::bigint), 14, '0')`
  const last = `(SELECT left(position, ${WRITTEN_IN}) FROM ${prefix}busbar_messages
    WHERE topic = ?::int4 AND partition = ?::int4 ORDER BY position DESC LIMIT 1)`
  return {
    prefix,
    alone: false,
    position: `GREATEST((${own}) COLLATE "C", ${last}) || '.' || lpad(to_hex(nextval('${prefix}busbar_numbers')), 14, '0')`,
    number: 'pg_current_xact_id()::text',
    ended: async (sql, numbers) => {
      const rows = await sql.values(
        `SELECT w.id FROM unnest(?::text[]) AS w (id) WHERE pg_xact_status(w.id::xid8) IS DISTINCT FROM 'in progress'`,
        [`{${numbers.join(',')}}`],
      )
      return rows.map(([id]) => String(id))
    },
    parameter,
  }
}
