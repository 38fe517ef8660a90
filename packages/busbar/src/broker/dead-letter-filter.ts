import type { DeadLetter, DeadLetterFilter, DeadLetterGroup } from './dead-letters.ts'

/** Whether a letter is one that the filter means. For stores that cannot filter by themselves. */
export function matchesFilter(letter: DeadLetter, filter: DeadLetterFilter | undefined): boolean {
  if (filter === undefined) return true
  const { group, topic, message, failure } = letter
  return (
    (filter.group === undefined || filter.group === group) &&
    (filter.topic === undefined || filter.topic === topic) &&
    (filter.type === undefined || filter.type === message.type) &&
    (filter.key === undefined || filter.key === message.key) &&
    (filter.messageId === undefined || filter.messageId === message.id) &&
    (filter.reason === undefined || filter.reason === failure.reason) &&
    (filter.errorName === undefined || filter.errorName === failure.error.name) &&
    (filter.since === undefined || failure.lastFailedAt >= filter.since) &&
    (filter.until === undefined || failure.lastFailedAt < filter.until)
  )
}

/** Puts letters that failed alike together, the most frequent first. For stores that cannot group by themselves. */
export function summarizeLetters(letters: Iterable<DeadLetter>): readonly DeadLetterGroup[] {
  const groups = new Map<string, { -readonly [K in keyof DeadLetterGroup]: DeadLetterGroup[K] }>()
  for (const { group, message, failure } of letters) {
    const { handler, reason, error, firstFailedAt, lastFailedAt } = failure
    const alike = JSON.stringify([group, message.type, handler, reason, error.name, error.message])
    const known = groups.get(alike)
    if (known === undefined) {
      groups.set(alike, {
        group,
        type: message.type,
        handler,
        reason,
        errorName: error.name,
        errorMessage: error.message,
        count: 1,
        firstFailedAt,
        lastFailedAt,
      })
      continue
    }
    known.count++
    known.firstFailedAt = Math.min(known.firstFailedAt, firstFailedAt)
    known.lastFailedAt = Math.max(known.lastFailedAt, lastFailedAt)
  }
  return [...groups.values()].toSorted((a, b) => b.count - a.count)
}
