import type { Statements } from './executor.ts'
import type { Topic } from './topics.ts'

/**
 * Who is in a group, for each topic. A member says so again with every heartbeat; one that is silent for a lease is gone.
 * From the same list each member computes its own share, so that no one has to decide for all.
 */

export async function enter(
  sql: Statements,
  group: string,
  topics: readonly Topic[],
  member: string,
  expires: number,
): Promise<void> {
  await sql.runMany(
    `INSERT INTO busbar_members (grp, topic, member, expires) VALUES (?, ?, ?, ?)
     ON CONFLICT (grp, topic, member) DO UPDATE SET expires = excluded.expires`,
    topics.map((topic) => [group, topic.id, member, expires]),
  )
}

export async function leave(sql: Statements, group: string, member: string): Promise<void> {
  await sql.run('DELETE FROM busbar_members WHERE grp = ? AND member = ?', [group, member])
}

/** Removes the rows of members that died. */
export async function bury(sql: Statements, group: string, before: number): Promise<void> {
  await sql.run('DELETE FROM busbar_members WHERE grp = ? AND expires <= ?', [group, before])
}

/**
 * How many partitions of the topic this member should have: as equal as can be, the rest to the eldest. Undefined: it is
 * not among the living.
 */
export async function share(
  sql: Statements,
  group: string,
  topic: Topic,
  member: string,
  now: number,
): Promise<number | undefined> {
  const rows = await sql.all(
    'SELECT member FROM busbar_members WHERE grp = ? AND topic = ? AND expires > ? ORDER BY member',
    [group, topic.id, now],
  )
  const members = rows.map((row) => row['member'] as string)
  const rank = members.indexOf(member)
  if (rank < 0) return undefined
  // With several topics the rest goes to another one for each of them.
  const turned = (rank + topic.id) % members.length
  return Math.floor(topic.partitions / members.length) + (turned < topic.partitions % members.length ? 1 : 0)
}

/** Members of any topic that are alive. */
export async function countMembers(sql: Statements, group: string, now: number): Promise<number> {
  const rows = await sql.all(
    'SELECT COUNT(DISTINCT member) AS members FROM busbar_members WHERE grp = ? AND expires > ?',
    [group, now],
  )
  return Number(rows[0]?.['members'] ?? 0)
}
