import type { Client } from 'pg'

/**
 * Transaction ids begin anew in a new cluster: what is written after a dump was restored there would come before what was
 * restored. So positions begin with an epoch, and whoever connects looks whether this cluster can have given the positions
 * that are stored. If not, the next epoch begins.
 */

/** The greatest position that is stored anywhere, and the one that this cluster would give now; see `dialect.ts`. */
const LOOK = `
  SELECT epoch.value AS epoch,
    epoch.value || '.' || lpad(to_hex(pg_snapshot_xmax(pg_current_snapshot())::text::int8), 14, '0') AS now,
    GREATEST(
      (SELECT MAX(last.position) FROM busbar_topics t, generate_series(0, t.partitions - 1) AS p (n),
         LATERAL (SELECT m.position FROM busbar_messages m WHERE m.topic = t.id AND m.partition = p.n
                  ORDER BY m.position DESC LIMIT 1) AS last),
      (SELECT MAX(position) FROM busbar_cursors),
      (SELECT MAX(position) FROM busbar_tallies),
      (SELECT MAX(position) FROM busbar_notes)
    ) COLLATE "C" AS last
  FROM busbar_meta epoch WHERE epoch.name = 'epoch'`

interface Looked {
  readonly epoch: string
  readonly now: string
  readonly last: string | null
}

/** Tells the session which epoch it writes and reads in. Nothing to tell before there are tables. */
export async function useEpoch(client: Client, schema: string): Promise<void> {
  const { rows: tables } = await client.query(
    `SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'busbar_meta'`,
    [schema],
  )
  if (tables.length === 0) return
  let looked = await look(client)
  while (looked !== undefined && looked.last !== null && looked.last > looked.now) {
    // Of several processes that see it one makes the step.
    const next = (Number.parseInt(looked.epoch, 16) + 1).toString(16).padStart(4, '0')
    await client.query(`UPDATE busbar_meta SET value = $1 WHERE name = 'epoch' AND value = $2`, [next, looked.epoch])
    looked = await look(client)
  }
  if (looked !== undefined) await client.query(`SELECT set_config('busbar.epoch', $1, false)`, [looked.epoch])
}

async function look(client: Client): Promise<Looked | undefined> {
  const { rows } = await client.query<{ epoch: string; now: string; last: string | null }>(LOOK)
  return rows[0]
}
