import type { Patience } from './options.ts'
import type { EndFault, SuiteModule, TargetOf, TargetOptions } from './target.ts'
import { eventually, sleep, within } from './waiting.ts'

/** What every check is given: a namespace of its own, and an end for all that it began. */
export class Scope<Options extends Required<Patience>, Faults extends object, Module extends SuiteModule> {
  readonly options: Options
  readonly namespace: string
  protected readonly target: TargetOf<unknown>
  protected readonly module: Module
  readonly #endings: EndFault[] = []

  constructor(target: TargetOf<unknown>, module: Module, options: Options, namespace: string) {
    this.target = target
    this.module = module
    this.options = options
    this.namespace = namespace
  }

  /** A name that no other check uses. */
  name(suffix: string): string {
    return `${this.namespace}-${suffix}`
  }

  async eventually(condition: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void> {
    await eventually(condition, what, this.options.patience)
  }

  async within<T>(promise: Promise<T>, what: string, patience = this.options.patience): Promise<T> {
    return within(promise, what, patience)
  }

  /** Listens a moment longer for what must not come; only where no later message can mark the end. */
  async grace(): Promise<void> {
    await sleep(this.options.grace)
  }

  /** Causes a fault; it ends when the returned function is called, at the latest with the check. */
  async cause(fault: keyof Faults & string): Promise<EndFault> {
    const faults = (this.module.faults ?? {}) as Readonly<
      Record<string, (options: TargetOptions) => Promise<EndFault> | undefined>
    >
    const end = await faults[fault]?.(this.targetOptions())
    if (end === undefined) throw new Error(`the target ${this.target.name} cannot cause ${fault}`)
    let ended = false
    const once = async (): Promise<void> => {
      if (ended) return
      ended = true
      await end()
    }
    this.onEnd(once)
    return once
  }

  onEnd(ending: EndFault): void {
    this.#endings.push(ending)
  }

  /** Ends all that the check began, last first. An ending that fails does not hinder the others. */
  async end(): Promise<void> {
    for (const ending of this.#endings.toReversed()) {
      await within(Promise.resolve().then(ending), 'an ending', 10_000).catch(() => undefined)
    }
    await this.module.cleanup?.(this.targetOptions())
  }

  protected targetOptions(lease?: number): TargetOptions {
    const settings = this.target.settings ?? {}
    return { namespace: this.namespace, settings, ...(lease === undefined ? {} : { lease }) }
  }
}
