import type { Batched, Next, Wanted } from './batched.ts'
import type { Statements, Values } from './executor.ts'
import { storeCursor } from './leases.ts'
import { nextDue } from './set-aside.ts'

/**
 * One partition after another: for a database in the same process, where a statement costs no way there and back.
 *
 * @param readAfter Reads the messages of a partition after a position, in order. Parameters: topic, partition, position,
 *   limit. Columns: the position, then those of the message.
 */
export function oneByOne(readAfter: string): Batched {
  const after = (
    sql: Statements,
    { topic, partition, position }: Wanted,
    limit: number,
    enough?: (row: Values) => boolean,
  ): Promise<Values[]> => sql.values(readAfter, [topic, partition, position, limit], enough)
  return {
    async readNext(sql, wanted, enough) {
      const found: Next[] = []
      let ended = false
      const watched = (row: Values): boolean => (ended = enough(row))
      for (const one of wanted) {
        const rows = ended ? [] : await after(sql, one, one.limit, watched)
        found.push({ rows, more: ended || rows.length >= one.limit, held: false })
      }
      return found
    },
    async storeCursors(sql, cursors) {
      const stored: boolean[] = []
      for (const cursor of cursors) stored.push(await storeCursor(sql, cursor.lease, cursor))
      return stored
    },
    async look(sql, partitions, leases) {
      const found = []
      for (const [index, lease] of leases.entries()) {
        const one = partitions[index]
        found.push({
          more: one !== undefined && (await after(sql, one, 1)).length > 0,
          nextDue: await nextDue(sql, lease, 'due'),
          nextSuspect: await nextDue(sql, lease, 'suspect'),
        })
      }
      return found
    },
  }
}
