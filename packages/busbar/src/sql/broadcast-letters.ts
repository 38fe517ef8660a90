import type { Failure } from '../broker/index.ts'
import type { SqlContext } from './context.ts'
import type { HandedOut } from './delivery.ts'
import type { Values } from './executor.ts'
import { asideColumns, putDead } from './set-aside.ts'
import type { Topic } from './topics.ts'

/** Dead letters of broadcast members belong to no partition: no owner of a lease ever sees them. */
const NO_PARTITION = -1

export async function putBroadcastLetter(
  context: SqlContext,
  group: string,
  topic: Topic,
  delivery: HandedOut,
  failure: Failure,
): Promise<void> {
  await context.executor.write((sql) =>
    putDead(sql, {
      group,
      topic: topic.id,
      partition: NO_PARTITION,
      state: 'dead',
      message: delivery.message,
      place: delivery.position,
      origin: delivery.origin,
      lane: undefined,
      dueAt: null,
      attempts: Math.max(delivery.begun, failure.attempts),
      redeliveries: delivery.redeliveries,
      crashes: 0,
      firstFailedAt: failure.firstFailedAt,
      failure,
    }),
  )
}

/** Takes letters that were redriven, at most `limit`. Whoever takes one has it in memory alone from then on. */
export async function takeRedriven(
  context: SqlContext,
  group: string,
  topic: Topic,
  limit: number,
): Promise<readonly Values[]> {
  const { executor, dialect } = context
  const select = (columns: string, lock = ''): string =>
    `SELECT ${columns} FROM busbar_set_aside WHERE grp = ? AND topic = ? AND partition = ? AND state = 'due' LIMIT ?${lock}`
  const here = [group, topic.id, NO_PARTITION]
  // Looked at often and there is hardly ever one: only then the lock for writing is taken.
  if ((await executor.all(select('entry'), [...here, 1])).length === 0) return []
  return executor.write(async (sql) => {
    const rows = await sql.values(select(asideColumns, dialect.forUpdate), [...here, limit])
    await sql.runMany(
      'DELETE FROM busbar_set_aside WHERE entry = ?',
      rows.map((row) => [row[0] ?? null]),
    )
    return rows
  })
}
