import type { Capabilities } from '../../broker/index.ts'
import { USUAL } from '../suite/options.ts'
import { type Choice, type Conformance, conformanceOf, type ConformanceRun, runChosen } from '../suite/runner.ts'
import type { Check } from './check.ts'
import { conformanceChecks } from './checks/index.ts'
import { CheckContext } from './context.ts'
import type { ConformanceOptions } from './options.ts'
import type { ConformanceTarget, TargetModule } from './target.ts'

export interface RunOptions extends ConformanceOptions, Choice {}

/** Checks of a broker that can be run one by one, by any test runner. */
export type BrokerConformance = Conformance<Check>

/**
 * The conformance suite of brokers: what `broker/broker.ts` and the bus promise, as named checks, each applied where the
 * broker's capabilities say so (what it denies is checked too).
 */
export function brokerConformance(target: ConformanceTarget, options: ConformanceOptions = {}): BrokerConformance {
  const complete = { ...USUAL, backlog: 100_000, ...options }
  return conformanceOf<CheckContext, Capabilities, TargetModule, Check>(
    {
      checks: conformanceChecks,
      longest: Math.max(complete.patience * 8, 240_000),
      async ask(module, targetOptions) {
        const broker = await module.createBroker(targetOptions)
        await broker.stop()
        return broker.capabilities
      },
      context: (module, capabilities, namespace) => new CheckContext(target, module, capabilities, complete, namespace),
    },
    target,
  )
}

/** Runs the whole suite, or what `only` names, some checks at once. */
export async function runConformance(target: ConformanceTarget, options: RunOptions = {}): Promise<ConformanceRun> {
  return runChosen(brokerConformance(target, options), options)
}
