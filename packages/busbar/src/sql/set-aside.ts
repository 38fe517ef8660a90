import type { Failure } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { Position } from './dialect.ts'
import type { SqlValue, Statements, Values } from './executor.ts'
import type { LeaseName } from './batched.ts'
import { bodySize, MESSAGE_COLUMNS, messageAt, messageColumns, messageValues, placeholders } from './rows.ts'

/**
 * Messages that left the line of one group, whole. States:
 *
 * - `due`: to be handed out again at `due_at`,
 * - `suspect`: the same, and it was out when a process died, so it is handed out alone,
 * - `parked`: waits behind another one of its `lane` (its key),
 * - `dead`: put aside with its failure.
 *
 * `handed`: 0 not handed out, 1 handed out, 2 handed out alone. Only the owner of the partition's lease hands out.
 */
export interface SetAside {
  readonly group: string
  readonly topic: number
  readonly partition: number
  readonly state: 'due' | 'parked' | 'dead'
  readonly message: EncodedMessage
  /** For people: `3@42`. */
  readonly place: string
  /** Where in the log it was; null for what never was there. */
  readonly origin: Position
  /** The key that later messages may have to wait for. */
  readonly lane: string | undefined
  /** Unix milliseconds. */
  readonly dueAt: number | null
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt: number | undefined
  readonly failure: Failure | undefined
}

const COLUMNS = [
  'grp',
  'topic',
  'partition',
  'state',
  'due_at',
  'origin',
  'place',
  'lane',
  'attempts',
  'redeliveries',
  'crashes',
  'first_failed_at',
  'last_failed_at',
  'reason',
  'handler',
  'error_name',
  'error_message',
  'error_stack',
]

const INSERT =
  `INSERT INTO busbar_set_aside (${COLUMNS.join(', ')}, ${messageColumns}) ` +
  `VALUES (${placeholders(COLUMNS.length + MESSAGE_COLUMNS.length)})`

const HANDED = ['entry', 'origin', 'place', 'lane', 'attempts', 'redeliveries', 'crashes', 'first_failed_at']

/** What has to be known to hand out, with the message behind it. */
export const asideColumns = `${HANDED.join(', ')}, ${messageColumns}`

/** A message set aside, to be handed out again. */
export interface Aside {
  readonly message: EncodedMessage
  readonly entry: number
  readonly position: Position
  readonly place: string
  readonly lane: string | undefined
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt: number | undefined
}

/** From a row of `asideColumns`. */
export function asideOf(row: Values): Aside {
  const [entry, position = null, place, lane, attempts, redeliveries, crashes, firstFailedAt] = row
  return {
    message: messageAt(row, HANDED.length),
    entry: Number(entry),
    position,
    place: place as string,
    lane: (lane as string | null) ?? undefined,
    attempts: Number(attempts),
    redeliveries: Number(redeliveries),
    crashes: Number(crashes),
    firstFailedAt: firstFailedAt === null ? undefined : Number(firstFailedAt),
  }
}

export async function setAside(sql: Statements, one: SetAside): Promise<void> {
  const { failure } = one
  await sql.run(
    INSERT,
    messageValues(
      one.message,
      one.group,
      one.topic,
      one.partition,
      one.state,
      one.dueAt,
      one.origin,
      one.place,
      one.lane ?? null,
      one.attempts,
      one.redeliveries,
      one.crashes,
      failure?.firstFailedAt ?? one.firstFailedAt ?? null,
      failure?.lastFailedAt ?? null,
      failure?.reason ?? null,
      keepable(failure?.handler),
      keepable(failure?.error.name),
      keepable(failure?.error.message),
      keepable(failure?.error.stack),
    ),
  )
}

/** What an error says may be anything; a dead letter has to be stored all the same. */
function keepable(text: string | undefined): string | null {
  return text?.toWellFormed().replaceAll('\0', '\uFFFD') ?? null
}

/** Stores a dead letter; one that the group already has of the same message is replaced. */
export async function putDead(sql: Statements, letter: SetAside): Promise<void> {
  await sql.run(`DELETE FROM busbar_set_aside WHERE grp = ? AND id = ? AND state = 'dead'`, [
    letter.group,
    letter.message.id,
  ])
  await setAside(sql, letter)
}

function here(lease: LeaseName): SqlValue[] {
  return [lease.group, lease.topic.id, lease.partition]
}

/** Those of the partition that are due, oldest first. */
export function due(
  sql: Statements,
  lease: LeaseName,
  state: 'due' | 'suspect',
  now: number,
  limit: number,
  enough: (row: Values) => boolean,
): Promise<Values[]> {
  return sql.values(
    `SELECT ${asideColumns} FROM busbar_set_aside
     WHERE grp = ? AND topic = ? AND partition = ? AND state = ? AND handed = 0 AND due_at <= ? ORDER BY due_at, entry LIMIT ?`,
    [...here(lease), state, now, limit],
    enough,
  )
}

/** Unix milliseconds of the next one to be handed out; Infinity: none. */
export async function nextDue(sql: Statements, lease: LeaseName, state: 'due' | 'suspect'): Promise<number> {
  const [row] = await sql.all(
    `SELECT MIN(due_at) AS next FROM busbar_set_aside WHERE grp = ? AND topic = ? AND partition = ? AND state = ? AND handed = 0`,
    [...here(lease), state],
  )
  return row === undefined || row['next'] === null ? Infinity : Number(row['next'])
}

export async function markHanded(sql: Statements, entry: number, handed: 0 | 1 | 2): Promise<void> {
  await sql.run('UPDATE busbar_set_aside SET handed = ? WHERE entry = ?', [handed, entry])
}

/** It was not run to an end: it is handed out again. */
export async function giveBack(sql: Statements, entry: number, attempts: number): Promise<void> {
  await sql.run('UPDATE busbar_set_aside SET handed = 0, attempts = ? WHERE entry = ?', [attempts, entry])
}

export async function countAttempts(sql: Statements, entry: number, attempts: number): Promise<void> {
  await sql.run('UPDATE busbar_set_aside SET attempts = ? WHERE entry = ? AND attempts < ?', [
    attempts,
    entry,
    attempts,
  ])
}

export async function postpone(
  sql: Statements,
  entry: number,
  to: { readonly dueAt: number; readonly attempts: number; readonly firstFailedAt: number },
): Promise<void> {
  await sql.run(
    `UPDATE busbar_set_aside SET state = 'due', handed = 0, due_at = ?, attempts = ?, redeliveries = redeliveries + 1,
       first_failed_at = COALESCE(first_failed_at, ?) WHERE entry = ?`,
    [to.dueAt, to.attempts, to.firstFailedAt, entry],
  )
}

/** Whether the commit of an earlier try came through is not known: what it stored of this message is taken back. */
export async function takeBack(sql: Statements, one: SetAside): Promise<void> {
  await sql.run(`DELETE FROM busbar_set_aside WHERE grp = ? AND id = ? AND origin = ? AND state <> 'dead'`, [
    one.group,
    one.message.id,
    one.origin,
  ])
}

/** The same for a fetch: what it has marked as handed out, and nobody has, is to be handed out again. */
export async function unmark(sql: Statements, lease: LeaseName, known: readonly number[]): Promise<void> {
  const but = known.length === 0 ? '' : ` AND entry NOT IN (${placeholders(known.length)})`
  await sql.run(
    `UPDATE busbar_set_aside SET handed = 0 WHERE grp = ? AND topic = ? AND partition = ? AND handed > 0${but}`,
    [...here(lease), ...known],
  )
}

export async function remove(sql: Statements, entry: number): Promise<boolean> {
  return (await sql.run('DELETE FROM busbar_set_aside WHERE entry = ?', [entry])) > 0
}

/**
 * Lets the first parked message of a lane go, if nothing is before it any more. Resolves to whether anything of the lane is
 * still set aside: until then later messages of the lane have to be parked.
 */
export async function advanceLane(
  sql: Statements,
  group: string,
  topic: number,
  lane: string,
  now: number,
): Promise<boolean> {
  const at = [group, topic, lane]
  const heads = await sql.all(
    `SELECT entry FROM busbar_set_aside WHERE grp = ? AND topic = ? AND lane = ? AND state IN ('due', 'suspect', 'dead') LIMIT 1`,
    at,
  )
  if (heads.length > 0) return true
  const [first] = await sql.all(
    `SELECT entry FROM busbar_set_aside WHERE grp = ? AND topic = ? AND lane = ? AND state = 'parked' ORDER BY origin, entry LIMIT 1`,
    at,
  )
  if (first === undefined) return false
  await sql.run(
    `UPDATE busbar_set_aside SET state = 'due', due_at = ?, first_failed_at = NULL, last_failed_at = NULL, reason = NULL,
       handler = NULL, error_name = NULL, error_message = NULL WHERE entry = ?`,
    [now, first['entry'] as SqlValue],
  )
  return true
}

/** Lanes of a partition in which something is set aside. */
export async function blockedLanes(sql: Statements, lease: LeaseName): Promise<string[]> {
  const rows = await sql.all(
    `SELECT DISTINCT lane FROM busbar_set_aside WHERE grp = ? AND topic = ? AND partition = ? AND lane IS NOT NULL`,
    here(lease),
  )
  return rows.map((row) => row['lane'] as string)
}

/** Size of the body of a row of `asideColumns`. */
export function asideSize(row: Values): number {
  return bodySize(row, HANDED.length)
}
