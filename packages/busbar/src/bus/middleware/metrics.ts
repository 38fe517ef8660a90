import type { Middleware } from '../middleware.ts'
import { MemoryMetricsRegistry, type Labels, type MetricsRegistry, type MetricsSnapshot } from './metrics-registry.ts'

/** The middleware, with the numbers that it has kept where no registry was given. */
export interface MetricsMiddleware extends Middleware {
  /** Empty where a registry was given: that one has them. */
  snapshot(): MetricsSnapshot
}

/**
 * Counts and times every publish and every run, by type and group; never a payload.
 *
 * - `busbar_publish_total` {type, outcome: ok | error}, `busbar_publish_seconds` {type}
 * - `busbar_process_total` {type, group, handler, outcome: ok | error}, `busbar_process_seconds` {type, group, handler}
 *
 * A message that middleware further in has dropped counts as `ok` here; how many those were is in the subscription's
 * stats, as are redeliveries and dead letters. Depth and lag are in `bus.metrics()`.
 */
export function metrics({ registry }: { readonly registry?: MetricsRegistry } = {}): MetricsMiddleware {
  const own = new MemoryMetricsRegistry()
  const into = registry ?? own

  async function timed<T>(name: string, labels: Labels, run: () => Promise<T>): Promise<T> {
    const began = performance.now()
    let outcome = 'error'
    try {
      const result = await run()
      outcome = 'ok'
      return result
    } finally {
      into.count(`${name}_total`, { ...labels, outcome })
      into.observe(`${name}_seconds`, labels, (performance.now() - began) / 1_000)
    }
  }

  return {
    name: 'metrics',
    snapshot: () => own.snapshot(),
    publish: (message, next) => timed('busbar_publish', { type: message.type }, () => next(message)),
    consume: ({ message, group, handler }, next) =>
      timed('busbar_process', { type: message.type, group, handler }, () => next(message)),
  }
}
