import type { CheckOf } from './check.ts'

/** Why a check does not apply to what has these capabilities; undefined where it does. */
export function whySkipped<Capabilities extends object>(
  check: Pick<CheckOf<never, Capabilities>, 'needs' | 'fault'>,
  capabilities: Capabilities,
  faults: object = {},
): string | undefined {
  if (check.fault !== undefined && Reflect.get(faults, check.fault) === undefined) {
    return `the target cannot cause the fault ${check.fault}`
  }
  if (check.needs === undefined) return undefined
  // `a && b && c` ends at the first that is false, so the last capability that was asked for is the reason.
  let asked = ''
  const watched = new Proxy(capabilities, {
    get(target, name): unknown {
      asked = String(name)
      return Reflect.get(target, name)
    },
  })
  if (check.needs(watched)) return undefined
  return `${asked} is ${String(Reflect.get(capabilities, asked))}`
}
