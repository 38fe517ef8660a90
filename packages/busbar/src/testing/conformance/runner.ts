import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Capabilities } from '../../broker/index.ts'
import { conformanceChecks } from './checks/index.ts'
import { CheckContext } from './context.ts'
import { whySkipped } from './selection.ts'
import type { Check, CheckResult } from './check.ts'
import type { ConformanceOptions } from './options.ts'
import type { ConformanceTarget, TargetModule } from './target.ts'
import { within } from './waiting.ts'

export interface RunOptions extends ConformanceOptions {
  /** Only checks whose name holds this text or matches this expression. */
  readonly only?: string | RegExp
  /** Checks run at once. Default: 4, and 2 with one processor. */
  readonly concurrency?: number
  /** Told of each result as it comes. */
  readonly onResult?: (result: CheckResult) => void
}

export interface ConformanceRun {
  /** In the order of the suite. */
  readonly results: readonly CheckResult[]
}

/** Checks of a target that can be run one by one, by any test runner. */
export interface BrokerConformance {
  readonly checks: readonly Check[]
  /** Runs one check in a namespace of its own. Never rejects: what it found is in the result. */
  run(check: Check): Promise<CheckResult>
}

/**
 * The conformance suite of brokers: what `broker/broker.ts` and the bus promise, as named checks, each applied where the
 * broker's capabilities say so (what it denies is checked too).
 */
export function brokerConformance(target: ConformanceTarget, options: ConformanceOptions = {}): BrokerConformance {
  const complete = { patience: 30_000, grace: 300, lease: 2_000, backlog: 100_000, ...options }
  let opened: Promise<{ module: TargetModule; capabilities: Capabilities }> | undefined
  return {
    checks: conformanceChecks,
    async run(check) {
      const began = performance.now()
      const done = (result: CheckResult['result'], more: Partial<CheckResult> = {}): CheckResult => {
        return { name: check.name, result, ms: Math.round(performance.now() - began), ...more }
      }
      try {
        const { module, capabilities } = await (opened ??= open(target))
        const reason = whySkipped(check, capabilities, module)
        if (reason !== undefined) return done('skipped', { reason })
        const context = new CheckContext(target, module, capabilities, complete, namespace())
        try {
          await within(check.run(context), 'the end of the check', Math.max(complete.patience * 8, 240_000))
        } finally {
          await context.end()
        }
        return done('passed')
      } catch (error) {
        return done('failed', { error: error instanceof Error ? error : new Error(String(error)) })
      }
    },
  }
}

/** Runs the whole suite, or what `only` names, some checks at once. */
export async function runConformance(target: ConformanceTarget, options: RunOptions = {}): Promise<ConformanceRun> {
  const { only, concurrency = availableParallelism() > 1 ? 4 : 2, onResult, ...rest } = options
  const suite = brokerConformance(target, rest)
  const chosen = suite.checks.filter(({ name }) => isChosen(name, only))
  const results = new Map<Check, CheckResult>()
  const runAll = async (queue: Check[]): Promise<void> => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      const result = await suite.run(check)
      results.set(check, result)
      onResult?.(result)
    }
  }
  // One lane is for heavy checks alone, so that two of them never run beside each other.
  const heavy = chosen.filter((check) => check.heavy === true)
  const light = chosen.filter((check) => check.heavy !== true)
  const lanes = Array.from({ length: Math.max(1, concurrency - 1) }, () => runAll(light))
  await Promise.all([runAll(heavy), ...lanes])
  return { results: chosen.map((check) => results.get(check)).filter((result) => result !== undefined) }
}

function isChosen(name: string, only: string | RegExp | undefined): boolean {
  if (only === undefined) return true
  return typeof only === 'string' ? name.toLowerCase().includes(only.toLowerCase()) : only.test(name)
}

/** A broker is made once to ask it what it can do. */
async function open(target: ConformanceTarget): Promise<{ module: TargetModule; capabilities: Capabilities }> {
  const module = (await import(/* @vite-ignore */ target.module)) as TargetModule
  const options = { namespace: namespace(), settings: target.settings ?? {} }
  const broker = await module.createBroker(options)
  const capabilities = { ...broker.capabilities, ...target.capabilities }
  await broker.stop()
  await module.cleanup?.(options)
  return { module, capabilities }
}

function namespace(): string {
  return `c${Date.now().toString(36)}${randomBytes(4).toString('hex')}`
}
