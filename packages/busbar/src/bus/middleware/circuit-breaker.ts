import { BusbarError, ConfigurationError } from '../../message/errors.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Incoming, Middleware } from '../middleware.ts'

/** The circuit is open: the handler was not run. Retryable. */
export class CircuitOpenError extends BusbarError {
  override readonly name: string = 'CircuitOpenError'
}

export type CircuitState = 'closed' | 'open' | 'half-open'

export interface CircuitBreakerOptions {
  /** Failures in a row that open the circuit. Default 5. */
  readonly failures?: number
  /** Milliseconds that it stays open before one run may try. Default 30 000. */
  readonly resetAfter?: number
  /** What shares a circuit, for example the service that handlers call. Default: the group. */
  readonly key?: (incoming: Incoming) => string
  /** Whether an error says that the service is down. Default: every error. */
  readonly counts?: (error: unknown) => boolean
  readonly onChange?: (key: string, state: CircuitState) => void
  readonly clock?: Clock
}

interface Circuit {
  failures: number
  /** Unix milliseconds since when it is open. */
  openedAt: number | undefined
  /** A single run is trying. */
  probing: boolean
}

/**
 * Spares a service that is down: after some failures in a row handlers are not run at all for a while but fail at once
 * with CircuitOpenError; then a single run tries, and its outcome closes the circuit or opens it again.
 *
 * The message takes its way as with any failure (retry, redelivery, dead letter), so let the redeliveries of the
 * subscription last longer than an outage. State is kept in this process.
 *
 * @throws ConfigurationError for settings that make no sense.
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): Middleware {
  const { failures = 5, resetAfter = 30_000, key = groupOf, counts = always, onChange, clock = systemClock } = options
  if (!Number.isInteger(failures) || failures < 1) {
    throw new ConfigurationError(`circuitBreaker: 'failures' must be a whole number from 1, not ${failures}`)
  }
  if (!(resetAfter > 0))
    throw new ConfigurationError(`circuitBreaker: 'resetAfter' must be more than 0 ms, not ${resetAfter}`)
  /** Only circuits with failures: one that is sound takes no room. */
  const circuits = new Map<string, Circuit>()

  /** Whether this run is the one that tries. */
  function enter(name: string, type: string): boolean {
    const circuit = circuits.get(name)
    if (circuit?.openedAt === undefined) return false
    const left = circuit.openedAt + resetAfter - clock.now()
    if (left > 0 || circuit.probing) {
      throw new CircuitOpenError(
        `${type} was not handled: the circuit of '${name}' is open after ${circuit.failures} failures; ` +
          (left > 0 ? `next try in ${left} ms` : 'a first run is trying'),
      )
    }
    circuit.probing = true
    onChange?.(name, 'half-open')
    return true
  }

  function succeeded(name: string, probe: boolean): void {
    // A run that began before the circuit opened says nothing about now.
    if (!probe && circuits.get(name)?.openedAt !== undefined) return
    circuits.delete(name)
    if (probe) onChange?.(name, 'closed')
  }

  function failed(name: string, probe: boolean): void {
    const circuit = circuits.get(name) ?? { failures: 0, openedAt: undefined, probing: false }
    circuits.set(name, circuit)
    if (!probe && circuit.openedAt !== undefined) return
    circuit.failures++
    if (!probe && circuit.failures < failures) return
    circuit.openedAt = clock.now()
    circuit.probing = false
    onChange?.(name, 'open')
  }

  return {
    name: 'circuitBreaker',
    async consume(incoming, next) {
      const name = key(incoming)
      const probe = enter(name, incoming.message.type)
      try {
        const result = await next(incoming.message)
        succeeded(name, probe)
        return result
      } catch (error) {
        // An error that does not count was given by a service that is up.
        if (counts(error)) failed(name, probe)
        else succeeded(name, probe)
        throw error
      }
    },
  }
}

function groupOf({ group }: Incoming): string {
  return group
}

function always(): boolean {
  return true
}
