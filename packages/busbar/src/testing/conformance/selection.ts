import type { Capabilities } from '../../broker/index.ts'
import type { Check } from './check.ts'
import type { TargetModule } from './target.ts'

/** Why a check does not apply to a broker with these capabilities; undefined where it does. */
export function whySkipped(check: Check, capabilities: Capabilities, module: TargetModule): string | undefined {
  if (check.fault !== undefined && module.faults?.[check.fault] === undefined) {
    return `the target cannot cause the fault ${check.fault}`
  }
  if (check.needs === undefined) return undefined
  // `a && b && c` ends at the first that is false, so the last capability that was asked for is the reason.
  let asked = ''
  const watched = new Proxy(capabilities, {
    get(target, name) {
      asked = String(name)
      return Reflect.get(target, name)
    },
  })
  if (check.needs(watched)) return undefined
  return `${asked} is ${String(capabilities[asked as keyof Capabilities])}`
}
