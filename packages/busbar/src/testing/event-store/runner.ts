import type { StorageCapabilities } from '../../store/index.ts'
import { USUAL } from '../suite/options.ts'
import { type Choice, type Conformance, conformanceOf, type ConformanceRun, runChosen } from '../suite/runner.ts'
import type { StorageCheck } from './check.ts'
import { eventStoreChecks } from './checks/index.ts'
import { StorageContext } from './context.ts'
import type { EventStoreOptions } from './options.ts'
import type { EventStoreTarget, StorageTargetModule } from './target.ts'

/** Checks of an event storage that can be run one by one, by any test runner. */
export type EventStoreConformance = Conformance<StorageCheck>

/**
 * The conformance suite of event storages: what `store/storage.ts` promises, as named checks, each applied where the storage's
 * capabilities say so (what it denies is checked too).
 */
export function eventStoreConformance(
  target: EventStoreTarget,
  options: EventStoreOptions = {},
): EventStoreConformance {
  const complete = { ...USUAL, events: 100_000, ...options }
  return conformanceOf<StorageContext, StorageCapabilities, StorageTargetModule, StorageCheck>(
    {
      checks: eventStoreChecks,
      // Written once and read twice, at 5,000 events a second or more.
      longest: Math.max(complete.patience * 8, 600_000) + (3 * complete.events) / 5,
      async ask(module, targetOptions) {
        const storage = await module.createStorage(targetOptions)
        await storage.stop()
        return storage.capabilities
      },
      context: (module, capabilities, namespace) =>
        new StorageContext(target, module, capabilities, complete, namespace),
    },
    target,
  )
}

/** Runs the whole suite, or what `only` names, some checks at once. */
export async function runEventStoreConformance(
  target: EventStoreTarget,
  options: EventStoreOptions & Choice = {},
): Promise<ConformanceRun> {
  return runChosen(eventStoreConformance(target, options), options)
}
