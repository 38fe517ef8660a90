import type { DeadLetterFilter } from '../broker/index.ts'
import type { SqlValue } from './executor.ts'

/** The condition of a filter, with its parameters. */
export function letterFilter(filter: DeadLetterFilter): { readonly where: string; readonly params: SqlValue[] } {
  const conditions = [`state IN ('dead', 'parked')`]
  const params: SqlValue[] = []
  const add = (condition: string, value: SqlValue | undefined): void => {
    if (value === undefined) return
    conditions.push(condition)
    params.push(value)
  }
  add('grp = ?', filter.group)
  add('topic = (SELECT id FROM busbar_topics WHERE name = ?)', filter.topic)
  add('type = ?', filter.type)
  add('key = ?', filter.key)
  add('id = ?', filter.messageId)
  add('reason = ?', filter.reason)
  add('error_name = ?', filter.errorName)
  add('last_failed_at >= ?', filter.since)
  add('last_failed_at < ?', filter.until)
  return { where: conditions.join(' AND '), params }
}
