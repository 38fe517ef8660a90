import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { CheckOf, CheckResult } from './check.ts'
import { whySkipped } from './selection.ts'
import type { SuiteModule, TargetOf, TargetOptions } from './target.ts'
import { within } from './waiting.ts'

/** Named checks of one port, and what they need. */
export interface Suite<Context, Capabilities, Module, Check> {
  readonly checks: readonly Check[]
  /** Milliseconds that a check may take as a whole. */
  readonly longest: number
  /** Makes one and asks it what it can do; it is stopped again. */
  ask(module: Module, options: TargetOptions): Promise<Capabilities>
  /** The world of one check. */
  context(module: Module, capabilities: Capabilities, namespace: string): Context
}

/** Checks of a target that can be run one by one, by any test runner. */
export interface Conformance<Check> {
  readonly checks: readonly Check[]
  /** Runs one check in a namespace of its own. Never rejects: what it found is in the result. */
  run(check: Check): Promise<CheckResult>
}

export interface Choice {
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

/** The checks of a suite over one target. */
export function conformanceOf<
  Context extends { end(): Promise<void> },
  Capabilities extends object,
  Module extends SuiteModule,
  Check extends CheckOf<Context, Capabilities>,
>(suite: Suite<Context, Capabilities, Module, Check>, target: TargetOf<Capabilities>): Conformance<Check> {
  let opened: Promise<{ module: Module; capabilities: Capabilities }> | undefined
  return {
    checks: suite.checks,
    async run(check) {
      const began = performance.now()
      const done = (result: CheckResult['result'], more: Partial<CheckResult> = {}): CheckResult => {
        return { name: check.name, result, ms: Math.round(performance.now() - began), ...more }
      }
      try {
        const { module, capabilities } = await (opened ??= open(suite, target))
        const reason = whySkipped(check, capabilities, module.faults)
        if (reason !== undefined) return done('skipped', { reason })
        const context = suite.context(module, capabilities, namespace())
        try {
          await within(check.run(context), 'the end of the check', suite.longest)
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

/** Runs all checks, or what `only` names, some of them at once. */
export async function runChosen<Check extends CheckOf<never, never>>(
  conformance: Conformance<Check>,
  { only, concurrency = availableParallelism() > 1 ? 4 : 2, onResult }: Choice,
): Promise<ConformanceRun> {
  const chosen = conformance.checks.filter(({ name }) => isChosen(name, only))
  const results = new Map<Check, CheckResult>()
  const runAll = async (queue: Check[]): Promise<void> => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      const result = await conformance.run(check)
      results.set(check, result)
      onResult?.(result)
    }
  }
  // One lane is for heavy checks alone, so that two of them never run beside each other.
  const alone = chosen.filter((check) => check.alone === true)
  const beside = chosen.filter((check) => check.alone !== true)
  const heavy = beside.filter((check) => check.heavy === true)
  const light = beside.filter((check) => check.heavy !== true)
  const lanes = Array.from({ length: Math.max(1, concurrency - 1) }, () => runAll(light))
  await Promise.all([runAll(heavy), ...lanes])
  await runAll(alone)
  return { results: chosen.map((check) => results.get(check)).filter((result) => result !== undefined) }
}

function isChosen(name: string, only: string | RegExp | undefined): boolean {
  if (only === undefined) return true
  return typeof only === 'string' ? name.toLowerCase().includes(only.toLowerCase()) : only.test(name)
}

async function open<Capabilities extends object, Module extends SuiteModule>(
  suite: Pick<Suite<never, Capabilities, Module, never>, 'ask'>,
  target: TargetOf<Capabilities>,
): Promise<{ module: Module; capabilities: Capabilities }> {
  const module = (await import(/* @vite-ignore */ target.module)) as Module
  const options = { namespace: namespace(), settings: target.settings ?? {} }
  const capabilities = { ...(await suite.ask(module, options)), ...target.capabilities }
  await module.cleanup?.(options)
  return { module, capabilities }
}

function namespace(): string {
  return `c${Date.now().toString(36)}${randomBytes(4).toString('hex')}`
}
