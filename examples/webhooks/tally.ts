/** What became of what was sent, computed by comparing the sender's ledger with what the groups have noted down. */
import type { DatabaseSync } from 'node:sqlite'

import { RUNS_IN_LINE } from './handlers/mirror.ts'

export interface Tally {
  /** Confirmed by the broker. */
  readonly published: number
  /** Different messages that each group has handled. */
  readonly handled: Readonly<{ [group: string]: number }>
  /** Further runs of a handler in the process, holding the line of the key. Counted by the bus. */
  readonly retried: number
  /** Given back to the broker to come again later. Counted by the bus. */
  readonly redelivered: number
  /** Put aside with their failure. */
  readonly deadLettered: number
  /** Of them, sent again to the group that had failed. */
  readonly redriven: number
  /** Of them, still there when it was last looked. */
  readonly putAside: number
  /** Confirmed, and not handled by a group, summed over the groups. */
  readonly lost: number
  /** Runs of a handler for a message that its group had handled before; they had no second effect. */
  readonly duplicated: number
  /** Handled by a group after a later message of the same key. Without those that had left the line: see below. */
  readonly outOfOrder: number
}

/** @param groups Those that were to get every message. */
export function tally(database: DatabaseSync, run: number, groups: readonly string[]): Tally {
  const number = (sql: string, ...values: (number | string)[]): number => {
    const [value] = Object.values(database.prepare(sql).get(...values) ?? {})
    return Number(value ?? 0)
  }
  const handled = Object.fromEntries(
    groups.map((group) => [
      group,
      number('SELECT count(*) FROM handled JOIN sent USING (id) WHERE run = ? AND consumer = ?', run, group),
    ]),
  )
  const lost = groups.map((group) =>
    number(
      `SELECT count(*) FROM sent WHERE run = ? AND confirmed = 1
       AND NOT EXISTS (SELECT 1 FROM handled WHERE consumer = ? AND handled.id = sent.id)`,
      run,
      group,
    ),
  )
  return {
    published: number('SELECT count(*) FROM sent WHERE run = ? AND confirmed = 1', run),
    handled,
    retried: number('SELECT retried FROM run WHERE id = ?', run),
    redelivered: number('SELECT redelivered FROM run WHERE id = ?', run),
    deadLettered: number('SELECT count(*) FROM dead JOIN sent USING (id) WHERE run = ?', run),
    redriven: number('SELECT count(*) FROM dead JOIN sent USING (id) WHERE run = ? AND redriven = 1', run),
    putAside: number('SELECT count(*) FROM dead JOIN sent USING (id) WHERE run = ? AND redriven = 0', run),
    lost: lost.reduce((sum, each) => sum + each, 0),
    duplicated: number('SELECT sum(times - 1) FROM handled JOIN sent USING (id) WHERE run = ?', run),
    outOfOrder: number(OUT_OF_ORDER, run, RUNS_IN_LINE),
  }
}

/**
 * Order by key is promised among messages that stay in line. One that leaves it (redelivery, dead letter) lets those
 * behind it pass, and is not counted; only the mirror fails, so all others are. How often the mirror had to run a message
 * tells that it was redelivered, and the list of dead letters that it was one.
 */
const OUT_OF_ORDER = `
  SELECT count(*) FROM (
    SELECT handled.sequence, max(handled.sequence) OVER (
      PARTITION BY consumer, handled.key ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS latest
    FROM handled JOIN sent USING (id)
    WHERE run = ? AND NOT (
      consumer = 'mirror' AND (
        attempt > ? OR EXISTS (SELECT 1 FROM dead WHERE dead.consumer = 'mirror' AND dead.id = handled.id)
      )
    )
  ) WHERE sequence < latest`
