import type { LeaseName } from './batched.ts'
import type { Dialect, Position } from './dialect.ts'
import type { SqlValue, Statements } from './executor.ts'
import { afterCrash, decodeOpen, encodeOpen, type OpenItem } from './open-list.ts'
import type { Topic } from './topics.ts'

/**
 * Cursors and leases: one row for each (group, topic, partition). `position` is up to where messages were handed out,
 * `open` which of them are not settled, `owner` who may hand out, until `expires`. The token changes with every owner:
 * each write names it, so what a former owner writes changes nothing (fencing).
 */

/** A lease just taken, with what the owner before left. */
export interface Claim extends LeaseName {
  readonly position: Position
  readonly open: readonly OpenItem[]
}

const HERE = 'grp = ? AND topic = ? AND partition = ?'

/** Topics that a group has never read. */
export async function newTopics(sql: Statements, group: string, topics: readonly Topic[]): Promise<Topic[]> {
  const rows = await sql.all('SELECT DISTINCT topic FROM busbar_cursors WHERE grp = ?', [group])
  const known = new Set(rows.map((row) => Number(row['topic'])))
  return topics.filter((topic) => !known.has(topic.id))
}

/** Makes the cursors of a group on a topic. Where it begins is decided here, once: whoever comes first is right. */
export async function createCursors(sql: Statements, group: string, topic: Topic, position: Position): Promise<void> {
  await sql.runMany(
    'INSERT INTO busbar_cursors (grp, topic, partition, position) VALUES (?, ?, ?, ?) ON CONFLICT (grp, topic, partition) DO NOTHING',
    Array.from({ length: topic.partitions }, (_, partition) => [group, topic.id, partition, position]),
  )
}

/** Keeps others from making, claiming or deleting cursors of the group before the end of this transaction. */
export async function lockCursors(sql: Statements, dialect: Dialect, group: string): Promise<void> {
  if (dialect.forUpdate === '') return
  const query = `SELECT partition FROM busbar_cursors WHERE grp = ? ORDER BY topic, partition${dialect.forUpdate}`
  await sql.values(query, [group])
}

/** The same of the partition of something that is set aside: its owner stores no verdict meanwhile. */
export async function lockCursor(
  sql: Statements,
  dialect: Dialect,
  at: { readonly group: string; readonly topic: number; readonly partition: number },
): Promise<void> {
  if (dialect.forUpdate === '') return
  const query = `SELECT partition FROM busbar_cursors WHERE ${HERE}${dialect.forUpdate}`
  await sql.values(query, [at.group, at.topic, at.partition])
}

/** Partitions that nobody has, or whose owner gave no sign of life. */
export async function freePartitions(sql: Statements, group: string, topic: Topic, now: number): Promise<number[]> {
  const rows = await sql.all(
    'SELECT partition FROM busbar_cursors WHERE grp = ? AND topic = ? AND (owner IS NULL OR expires <= ?)',
    [group, topic.id, now],
  )
  return rows.map((row) => Number(row['partition']))
}

/** Takes a partition if it is still free. After an owner that died, what it had open becomes suspect. */
export async function claim(
  sql: Statements,
  dialect: Dialect,
  lease: Omit<LeaseName, 'token'> & { readonly owner: string; readonly now: number; readonly expires: number },
): Promise<Claim | undefined> {
  const { group, topic, partition, owner, now, expires } = lease
  const here: SqlValue[] = [group, topic.id, partition]
  const [row] = await sql.all(
    `SELECT position, open, owner, token FROM busbar_cursors WHERE ${HERE} AND (owner IS NULL OR expires <= ?)${dialect.forUpdate}`,
    [...here, now],
  )
  if (row === undefined) return undefined
  const token = Number(row['token']) + 1
  let open = decodeOpen(row['open'] as string, dialect)
  if (row['owner'] !== null) open = await suspect(sql, open, here)
  await sql.run(`UPDATE busbar_cursors SET owner = ?, token = ?, expires = ?, open = ? WHERE ${HERE}`, [
    owner,
    token,
    expires,
    encodeOpen(open, dialect),
    ...here,
  ])
  return { group, topic, partition, token, position: row['position'] as Position, open }
}

/** Everything that was out when its owner died: a run may have been cut off, so it counts. */
async function suspect(sql: Statements, open: readonly OpenItem[], here: readonly SqlValue[]): Promise<OpenItem[]> {
  const [row] = await sql.all(`SELECT COUNT(*) AS handed FROM busbar_set_aside WHERE ${HERE} AND handed > 0`, here)
  const alone = open.length + Number(row?.['handed']) === 1
  await sql.run(
    `UPDATE busbar_set_aside SET attempts = attempts + 1, crashes = crashes + CASE WHEN handed = 2 OR ? THEN 1 ELSE 0 END,
       state = CASE state WHEN 'due' THEN 'suspect' ELSE state END, handed = 0
     WHERE ${HERE} AND handed > 0`,
    [alone ? 1 : 0, ...here],
  )
  return afterCrash(open, alone)
}

/** Whether the lease is still ours; nobody can take it before the end of this transaction. */
export async function holds(sql: Statements, lease: LeaseName, expires: number): Promise<boolean> {
  const changed = await sql.run(`UPDATE busbar_cursors SET expires = ? WHERE ${HERE} AND token = ?`, [
    expires,
    lease.group,
    lease.topic.id,
    lease.partition,
    lease.token,
  ])
  return changed === 1
}

/** Stores the cursor and renews the lease. False: it is not ours any more, and nothing was stored. */
export async function storeCursor(
  sql: Statements,
  lease: LeaseName,
  cursor: { readonly position: Position; readonly open: string; readonly expires: number },
): Promise<boolean> {
  const changed = await sql.run(
    `UPDATE busbar_cursors SET position = ?, open = ?, expires = ? WHERE ${HERE} AND token = ?`,
    [cursor.position, cursor.open, cursor.expires, lease.group, lease.topic.id, lease.partition, lease.token],
  )
  return changed === 1
}

/** Gives the partition up, clean: what is open then is given back and not suspect. */
export async function release(
  sql: Statements,
  lease: LeaseName,
  cursor: { readonly position: Position; readonly open: string },
): Promise<void> {
  const here = [lease.group, lease.topic.id, lease.partition]
  const changed = await sql.run(
    `UPDATE busbar_cursors SET position = ?, open = ?, owner = NULL, expires = 0 WHERE ${HERE} AND token = ?`,
    [cursor.position, cursor.open, ...here, lease.token],
  )
  if (changed === 1) await sql.run(`UPDATE busbar_set_aside SET handed = 0 WHERE ${HERE} AND handed > 0`, here)
}

/** Renews all leases of a member; resolves to those that it still has, as `topic/partition` with their tokens. */
export async function renew(
  sql: Statements,
  group: string,
  owner: string,
  expires: number,
): Promise<ReadonlyMap<string, number>> {
  await sql.run('UPDATE busbar_cursors SET expires = ? WHERE grp = ? AND owner = ?', [expires, group, owner])
  const rows = await sql.all('SELECT topic, partition, token FROM busbar_cursors WHERE grp = ? AND owner = ?', [
    group,
    owner,
  ])
  return new Map(rows.map((row) => [`${Number(row['topic'])}/${Number(row['partition'])}`, Number(row['token'])]))
}
