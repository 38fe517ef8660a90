import type { Delivery, Verdict } from '../../broker/index.ts'
import { ack } from './collector.ts'

export { rejects } from '../suite/rejects.ts'
export { ack }

export const release: Verdict = { release: true }

/** Given back after one more run has failed. */
export function redeliver(delivery: Delivery, after = 0): Verdict {
  return {
    redeliver: { after, attempts: delivery.attempts + 1, firstFailedAt: delivery.firstFailedAt ?? Date.now() },
  }
}

/** Put aside after one more run has failed. */
export function deadLetter(delivery: Delivery): Verdict {
  const now = Date.now()
  return {
    deadLetter: {
      reason: 'failed',
      error: { name: 'Error', message: 'the check says so' },
      handler: 'check',
      attempts: delivery.attempts + 1,
      firstFailedAt: delivery.firstFailedAt ?? now,
      lastFailedAt: now,
    },
  }
}

/** A handler that says the first verdict for the first delivery of each message, and acks what comes again. */
export function firstTime(verdict: (delivery: Delivery) => Verdict): (delivery: Delivery) => Verdict {
  const seen = new Set<string>()
  return (delivery) => {
    if (seen.has(delivery.message.id)) return ack
    seen.add(delivery.message.id)
    return verdict(delivery)
  }
}
