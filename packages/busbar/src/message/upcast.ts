import { ConfigurationError, ValidationError } from './errors.ts'

/** Takes data of one version to the next one. Annotate the parameter with the old shape. */
export type Upcaster = { upcast(data: unknown): unknown }['upcast']

/** Upcasters by the version that they take; each leads to the next version. */
export type Upcasters = Readonly<Record<number, Upcaster>>

/** @throws ConfigurationError for an upcaster that could never run. */
export function checkUpcasters(upcasters: Upcasters, type: string, version: number): void {
  for (const from of Object.keys(upcasters)) {
    if (Number.isInteger(Number(from)) && Number(from) >= 1 && Number(from) < version) continue
    throw new ConfigurationError(
      `${type} is version ${version}, and has an upcaster from version ${from}: ` +
        `an upcaster takes one of the versions below ${version} to the next, as in { 1: (old) => new }`,
    )
  }
}

/** Oldest version from which they lead to `version` without a gap. */
export function oldestUpcast(upcasters: Upcasters, version: number): number {
  let from = version
  while (Object.hasOwn(upcasters, from - 1)) from--
  return from
}

/**
 * Runs the upcasters one after the other, from the data's version to the contract's.
 * @throws ValidationError when the data is of a newer version, when an upcaster is missing, and when one throws.
 */
export function upcast(upcasters: Upcasters, type: string, version: number, data: unknown, from: number): unknown {
  if (from > version) throw refusal(type, from, `this program knows versions up to ${version}; update it`)
  let current = data
  for (let at = from; at < version; at++) {
    const upcaster = Object.hasOwn(upcasters, at) ? upcasters[at] : undefined
    if (upcaster === undefined) throw refusal(type, from, `the contract has no upcaster from version ${at}; add one`)
    try {
      current = upcaster(current)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw refusal(type, from, `the upcaster from version ${at} threw: ${reason}`)
    }
  }
  return current
}

function refusal(type: string, version: number, message: string): ValidationError {
  return new ValidationError(type, version, [{ path: '', message }])
}
