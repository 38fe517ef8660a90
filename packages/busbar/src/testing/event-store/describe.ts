import { describeChecks, type TestRunner } from '../suite/describe.ts'
import type { EventStoreOptions } from './options.ts'
import { eventStoreConformance } from './runner.ts'
import type { EventStoreTarget } from './target.ts'

/**
 * Declares each check of the suite as a test.
 *
 * @example
 * import { describe, test } from 'vitest'
 * import { describeEventStore } from 'busbar/testing'
 *
 * describeEventStore({ describe, test }, { name: 'mine', module: new URL('./mine.ts', import.meta.url).href })
 */
export function describeEventStore(
  runner: TestRunner,
  target: EventStoreTarget,
  options: EventStoreOptions = {},
): void {
  describeChecks(runner, `event store conformance: ${target.name}`, eventStoreConformance(target, options))
}
