import assert from 'node:assert/strict'
import type { Delivery, Verdict } from '../../broker/index.ts'
import { ack } from './collector.ts'

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

/** Fails unless the call rejects with an error of this name (a class of it is as good). Returns the error. */
export async function rejects(call: () => Promise<unknown>, name: string, what: string): Promise<Error> {
  const outcome = await call().then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(outcome instanceof Error, `${what} did not reject`)
  assert.ok(named(outcome, name), `${what} rejected with ${outcome.name} and not with ${name}: ${outcome.message}`)
  return outcome
}

function named(error: Error, name: string): boolean {
  for (let proto: object | null = error; proto !== null; proto = Object.getPrototypeOf(proto) as object | null) {
    if (proto.constructor.name === name) return true
  }
  return error.name === name
}
