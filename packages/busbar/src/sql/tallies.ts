import type { Dialect, Position } from './dialect.ts'
import type { Row, Statements } from './executor.ts'
import type { Topic } from './topics.ts'

/**
 * How many messages a partition has had, counted once up to a place and kept, so that the depth of a topic is known
 * without counting millions of rows every time: what came after that place is counted, what was deleted is subtracted.
 */
interface Tally {
  readonly position: Position
  readonly total: number
  readonly removed: number
}

/** Messages after which a count is worth keeping. */
const WORTH_KEEPING = 1_000

const HERE = 'topic = ? AND partition = ?'

/** Messages that the topic keeps. */
export async function depthOf(
  sql: Statements,
  topic: Topic,
): Promise<{ readonly depth: number; readonly worthKeeping: boolean }> {
  let depth = 0
  let worthKeeping = false
  for (let partition = 0; partition < topic.partitions; partition++) {
    const tally = await read(sql, topic, partition)
    const since = await countAfter(sql, topic, partition, tally?.position)
    depth += (tally?.total ?? 0) - (tally?.removed ?? 0) + since
    worthKeeping ||= since >= WORTH_KEEPING
  }
  return { depth, worthKeeping }
}

/** Counts what has come since, for all partitions of a topic. In a transaction that writes. */
export async function countOn(sql: Statements, dialect: Dialect, topic: Topic): Promise<void> {
  for (let partition = 0; partition < topic.partitions; partition++) {
    await countPartitionOn(sql, dialect, topic, partition)
  }
}

/** The same for one partition: before anything of it is deleted. */
export async function countPartitionOn(
  sql: Statements,
  dialect: Dialect,
  topic: Topic,
  partition: number,
): Promise<void> {
  const tally = await read(sql, topic, partition, dialect.forUpdate)
  const end = (await sql.all(dialect.end))[0]?.['position'] ?? dialect.start
  const since = await countAfter(sql, topic, partition, tally?.position, end)
  if (since === 0) return
  await sql.run(
    `INSERT INTO busbar_tallies (topic, partition, position, total, removed) VALUES (?, ?, ?, ?, 0)
     ON CONFLICT (topic, partition) DO UPDATE SET position = excluded.position, total = excluded.total`,
    [topic.id, partition, end, (tally?.total ?? 0) + since],
  )
}

/** Messages were deleted that had been counted. */
export async function subtract(sql: Statements, topic: Topic, partition: number, removed: number): Promise<void> {
  await sql.run(`UPDATE busbar_tallies SET removed = removed + ? WHERE ${HERE}`, [removed, topic.id, partition])
}

async function read(sql: Statements, topic: Topic, partition: number, lock = ''): Promise<Tally | undefined> {
  const [row] = await sql.all(`SELECT position, total, removed FROM busbar_tallies WHERE ${HERE}${lock}`, [
    topic.id,
    partition,
  ])
  if (row === undefined) return undefined
  return { position: row['position'] as Position, total: Number(row['total']), removed: Number(row['removed']) }
}

async function countAfter(
  sql: Statements,
  topic: Topic,
  partition: number,
  position: Position | undefined,
  end?: Position,
): Promise<number> {
  const after = `${position === undefined ? '' : ' AND position > ?'}${end === undefined ? '' : ' AND position <= ?'}`
  const params = [position, end].filter((bound) => bound !== undefined)
  const [row]: Row[] = await sql.all(`SELECT COUNT(*) AS count FROM busbar_messages WHERE ${HERE}${after}`, [
    topic.id,
    partition,
    ...params,
  ])
  return Number(row?.['count'] ?? 0)
}
