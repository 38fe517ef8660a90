import type { Cursor } from './batched.ts'
import type { Dialect } from './dialect.ts'
import type { Statements } from './executor.ts'
import { bodySize } from './rows.ts'
import { type Advanced, type Budget, spend, type Step } from './step.ts'

/**
 * One step of some partitions, inside a transaction: reads what comes next and stores, in the same commit, that it is
 * handed out and which of the earlier ones have settled. What is lost with the process is only the settling since then.
 */
export async function advance(
  sql: Statements,
  dialect: Dialect,
  steps: readonly Step[],
  budget: Budget,
): Promise<Advanced[]> {
  for (const step of steps) {
    await step.takeSetAside()
    await step.takeBacklog()
  }
  await readLogs(sql, dialect, steps, budget)
  await storeAll(sql, dialect, steps)
  return steps.map((step) => step.result())
}

/** The same for steps that are plain, with a dialect that can do it in one statement. */
export async function advanceAtOnce(
  sql: Statements,
  dialect: Dialect,
  steps: readonly Step[],
  budget: Budget,
): Promise<Advanced[]> {
  let left = budget.room
  const wanted = steps.map((step) => {
    const limit = left > 0 && step.begins(left) ? step.room : 0
    left -= limit
    return step.standing(limit)
  })
  const found = (await dialect.fetch?.(sql, wanted, budget.bytes)) ?? []
  for (const [index, step] of steps.entries()) {
    const next = found[index]
    if (next === undefined) continue
    if (!next.stored && (next.rows.length > 0 || wanted[index]?.dirty === true)) step.lost = true
    else if ((wanted[index]?.limit ?? 0) > 0) await step.takeLog(next)
  }
  return steps.map((step) => step.result())
}

/** The same for one step that is plain, behind an append. Undefined: nothing has changed. */
export async function advanceBehind(
  sql: Statements,
  dialect: Dialect,
  step: Step,
  budget: Budget,
): Promise<Advanced | undefined> {
  if (!step.begins(budget.room)) return undefined
  const wanted = step.standing(step.room)
  const found = await dialect.fetchBehind?.(sql, wanted, budget.bytes)
  if (found === undefined) {
    step.partition.dirty ||= wanted.dirty
    step.partition.more = true
    return undefined
  }
  await step.takeLog(found)
  return step.result()
}

/**
 * The same for steps that are plain and take only what was read ahead: one statement that stores cursors. `meanwhile` is
 * called when it is on its way.
 */
export async function advanceAhead(
  sql: Statements,
  dialect: Dialect,
  steps: readonly Step[],
  budget: Budget,
  meanwhile: () => void,
): Promise<Advanced[]> {
  let left = budget.room
  for (const step of steps) if (left > 0) left -= step.takeAhead(left)
  const { cursors, storing } = await cursorsOf(steps)
  const stored = dialect.storeAtOnce?.(sql, cursors)
  meanwhile()
  const kept = (await stored) ?? []
  for (const [index, step] of storing.entries()) if (kept[index] !== true) step.lost = true
  return steps.map((step) => step.result())
}

async function readLogs(sql: Statements, dialect: Dialect, steps: readonly Step[], budget: Budget): Promise<void> {
  let left = budget.room
  const reading = steps.filter((step) => {
    if (left <= 0 || !step.begins(left)) return false
    left -= step.room
    return true
  })
  if (reading.length === 0) return
  const wanted = reading.map(({ room, partition: { topic, partition, position } }) => ({
    topic: topic.id,
    partition,
    position,
    limit: room,
  }))
  const found = await dialect.readNext(sql, wanted, (row) => spend(budget, bodySize(row, 1)), budget.bytes)
  for (const [index, step] of reading.entries()) {
    const next = found[index]
    if (next !== undefined) await step.takeLog(next)
  }
}

async function storeAll(sql: Statements, dialect: Dialect, steps: readonly Step[]): Promise<void> {
  const { cursors, storing } = await cursorsOf(steps)
  if (cursors.length === 0) return
  // A cursor alone may fall back: what was handed out since then is handed out again.
  const relaxing = dialect.relax !== undefined && !steps.some((step) => step.wrote) ? sql.run(dialect.relax) : undefined
  const [kept] = await Promise.all([dialect.storeCursors(sql, cursors), relaxing])
  for (const [index, step] of storing.entries()) if (kept[index] !== true) step.lost = true
}

async function cursorsOf(steps: readonly Step[]): Promise<{ readonly cursors: Cursor[]; readonly storing: Step[] }> {
  const cursors: Cursor[] = []
  const storing: Step[] = []
  for (const step of steps) {
    const cursor = await step.cursor()
    if (cursor === undefined) continue
    cursors.push(cursor)
    storing.push(step)
  }
  return { cursors, storing }
}
