/**
 * Personal data: which fields of a contract are about a person, how they are kept out of errors, logs and lists, and what encrypts
 * them (`Privacy`; busbar/privacy is one).
 */
import { BusbarError, type ValidationIssue } from './errors.ts'

/** What stands where personal data was forgotten, unless the contract declares something else. */
export const ERASED = '[erased]'
/** What stands where personal data is not shown. */
export const MASKED = '[personal]'

/**
 * Dot paths of personal data, where an index may be left out or written `*`: `customer.email`, `guests.*.name`. As an object: each
 * with what a reader gets once it is forgotten, which should be something that the schema accepts.
 */
export type PersonalFields = readonly string[] | Readonly<Record<string, unknown>>

/** Encrypts personal fields before a message is encoded, and makes them readable again after it was decoded. */
export interface Privacy {
  /**
   * The data with what is at the paths encrypted, so that it can be read as long as the person is not forgotten. The data itself is not
   * changed. Synchronous where it can be.
   *
   * @throws EncodeError where a value cannot be written, PersonForgottenError, KeysUnavailableError.
   */
  protect(data: unknown, paths: readonly string[], person: string): unknown
  /** The data with all that was encrypted readable again; where the person was forgotten, `ERASED`. Synchronous where it can be. @throws KeysUnavailableError */
  reveal(data: unknown): Revealed | Promise<Revealed>
}

/** Keys cannot be reached: what is encrypted can neither be read nor written now, and it is not the message's fault. */
export class KeysUnavailableError extends BusbarError {
  override readonly name: string = 'KeysUnavailableError'
}

/** Something personal was to be written about somebody who asked to be forgotten. Nothing was sent. */
export class PersonForgottenError extends BusbarError {
  override readonly name: string = 'PersonForgottenError'

  constructor() {
    super(
      'this person was forgotten, and new personal data of them would be kept again: leave it out, or, if they came back, ' +
        'call readmit() first',
    )
  }
}

export interface Revealed {
  readonly data: unknown
  /** Whether something of it is gone for good. */
  readonly erased: boolean
}

/** What is wrong with data, without personal data: some schema libraries quote the offending value in their messages. */
export function withoutPersonal(
  issues: readonly ValidationIssue[],
  personal: readonly string[],
): readonly ValidationIssue[] {
  if (personal.length === 0) return issues
  return issues.map((issue) =>
    isPersonal(issue.path, personal) ? { path: issue.path, message: 'is not valid (personal data, not shown)' } : issue,
  )
}

/** Whether a path leads to personal data or into it. */
export function isPersonal(path: string, personal: readonly string[]): boolean {
  const asked = withoutIndexes(path)
  return personal.map(withoutIndexes).some((one) => asked === one || asked.startsWith(`${one}.`))
}

/** A copy of the data in which no personal data is shown. */
export function maskPersonal(data: unknown, personal: readonly string[]): unknown {
  return replacePersonal(data, personal, () => MASKED)
}

/** A copy of the data with what the contract declares in place of what was forgotten. */
export function withPlaceholders(data: unknown, placeholders: ReadonlyMap<string, unknown>): unknown {
  let replaced = data
  for (const [path, placeholder] of placeholders) {
    replaced = replacePersonal(replaced, [path], (value) => (value === ERASED ? placeholder : value))
  }
  return replaced
}

/** A copy of the data with something else at the paths, where there is something; what has no such path is not copied. */
export function replacePersonal(
  data: unknown,
  personal: readonly string[],
  replace: (value: unknown, path: string) => unknown,
): unknown {
  let replaced = data
  for (const path of personal) {
    const names = withoutIndexes(path).split('.')
    replaced = replaceAt(replaced, names, (value) => replace(value, path))
  }
  return replaced
}

function replaceAt(value: unknown, names: readonly string[], replace: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => replaceAt(one, names, replace))
  const [name, ...rest] = names
  if (name === undefined) return value === undefined || value === null ? value : replace(value)
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return value
  const found = (value as Record<string, unknown>)[name]
  const put = rest.length === 0 && Array.isArray(found) ? replace(found) : replaceAt(found, rest, replace)
  return put === found ? value : { ...value, [name]: put }
}

function withoutIndexes(path: string): string {
  return path
    .replace(/\[(?:\d+|\*)?\]/g, '')
    .split('.')
    .filter((name) => name !== '*' && !/^\d+$/.test(name))
    .join('.')
}
