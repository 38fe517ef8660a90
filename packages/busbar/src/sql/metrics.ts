import type { BrokerMetrics, GroupMetrics, TopicMetrics } from '../broker/index.ts'
import type { SqlContext } from './context.ts'
import type { Position } from './dialect.ts'
import type { Row, Statements } from './executor.ts'
import { decodeOpen } from './open-list.ts'
import { countOn, depthOf } from './tallies.ts'
import type { Topic } from './topics.ts'

/**
 * Numbers of all topics and groups, of all processes; only `inFlight` is what this process has. The depth of a topic costs
 * no more than what came since it was last asked for; the lag of a group is counted, so it costs as much as it is long
 * (about 20 ms for a million).
 */
export async function measure(
  context: SqlContext,
  inFlight: (group: string, topic: number) => number,
): Promise<BrokerMetrics> {
  const known = await context.topics.all()
  const uncounted: Topic[] = []
  const metrics = await context.executor.read(async (sql) => {
    const topics: TopicMetrics[] = []
    for (const topic of known) {
      const { depth, worthKeeping } = await depthOf(sql, topic)
      if (worthKeeping) uncounted.push(topic)
      topics.push({ topic: topic.name, depth, delayed: await countDelayed(sql, topic) })
    }
    const groups: GroupMetrics[] = []
    const rows = await sql.all(
      'SELECT grp, topic FROM busbar_cursors UNION SELECT grp, topic FROM busbar_set_aside ORDER BY grp, topic',
    )
    for (const row of rows) {
      const topic = known.find((one) => one.id === Number(row['topic']))
      if (topic === undefined) continue
      groups.push(await measureGroup(sql, context, row['grp'] as string, topic, inFlight))
    }
    const heldBack = await context.dialect.heldBack?.(sql)
    return { topics, groups, ...(heldBack === undefined ? {} : { heldBack }) }
  })
  for (const topic of uncounted) await context.executor.write((sql) => countOn(sql, context.dialect, topic))
  return metrics
}

async function count(sql: Statements, query: string, params: readonly Position[]): Promise<number> {
  const [row] = await sql.all(query, params)
  return Number(row?.['count'] ?? 0)
}

function countDelayed(sql: Statements, topic: Topic): Promise<number> {
  return count(sql, 'SELECT COUNT(*) AS count FROM busbar_delayed WHERE topic = ?', [topic.id])
}

async function measureGroup(
  sql: Statements,
  context: SqlContext,
  group: string,
  topic: Topic,
  inFlight: (group: string, topic: number) => number,
): Promise<GroupMetrics> {
  const states = await sql.all(
    'SELECT state, COUNT(*) AS count FROM busbar_set_aside WHERE grp = ? AND topic = ? GROUP BY state',
    [group, topic.id],
  )
  const inState = (state: string): number => Number(states.find((row) => row['state'] === state)?.['count'] ?? 0)
  const redelivering = inState('due') + inState('suspect')
  const parked = inState('parked')
  let lag = redelivering
  const [aside] = await sql.all(
    `SELECT MIN(time) AS time FROM busbar_set_aside WHERE grp = ? AND topic = ? AND state IN ('due', 'suspect')`,
    [group, topic.id],
  )
  let oldest = timeOf(aside)
  const cursors = await sql.all('SELECT partition, position, open FROM busbar_cursors WHERE grp = ? AND topic = ?', [
    group,
    topic.id,
  ])
  for (const row of cursors) {
    const open = decodeOpen(row['open'] as string, context.dialect)
    lag += open.length
    oldest = Math.min(oldest, await oldestOf(sql, topic, row, open[0]?.position))
    lag += await count(
      sql,
      'SELECT COUNT(*) AS count FROM busbar_messages WHERE topic = ? AND partition = ? AND position > ?',
      [topic.id, row['partition'] as Position, row['position'] as Position],
    )
  }
  return {
    group,
    topic: topic.name,
    lag,
    ...(oldest === Infinity ? {} : { oldest }),
    inFlight: inFlight(group, topic.id),
    redelivering,
    parked,
    dead: inState('dead'),
  }
}

/** Time of the first message of a partition that is not settled: the first that is open, or the first that was not read yet. */
async function oldestOf(sql: Statements, topic: Topic, cursor: Row, open: Position | undefined): Promise<number> {
  const partition = cursor['partition'] as Position
  const from = 'SELECT time FROM busbar_messages WHERE topic = ? AND partition = ? AND position'
  const rows = await sql.all(
    open === undefined ? `${from} > ? ORDER BY position LIMIT 1` : `${from} >= ? ORDER BY position LIMIT 1`,
    [topic.id, partition, open ?? (cursor['position'] as Position)],
  )
  return timeOf(rows[0])
}

function timeOf(row: Row | undefined): number {
  return row === undefined || row['time'] === null ? Infinity : Number(row['time'])
}
