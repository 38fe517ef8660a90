/** What a subscription has done so far, in this process. */
export interface Counters {
  handled: number
  failed: number
  retried: number
  redelivered: number
  deadLettered: number
  skipped: number
  filtered: number
}

export function newCounters(): Counters {
  return { handled: 0, failed: 0, retried: 0, redelivered: 0, deadLettered: 0, skipped: 0, filtered: 0 }
}
