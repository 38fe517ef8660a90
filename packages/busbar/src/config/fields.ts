import { ConfigurationError } from '../message/errors.ts'

/** What a setting may be, in words and as a check. */
export interface Kind {
  readonly words: string
  /** Its value is never shown: it can hold a password. */
  readonly secret?: boolean
  readonly accepts: (value: unknown) => boolean
  /** From an environment variable or a URL parameter. Undefined: it cannot be read so. */
  readonly parse: (text: string) => unknown
}

export const text: Kind = {
  words: 'a text that is not empty',
  accepts: (value) => typeof value === 'string' && value.trim() !== '',
  parse: (given) => given,
}

/** A password, or an address that can hold one. */
export const secret: Kind = { ...text, secret: true }

export const flag: Kind = {
  words: 'true or false',
  accepts: (value) => typeof value === 'boolean',
  parse: (given) => (given === 'true' || given === '1' ? true : given === 'false' || given === '0' ? false : given),
}

/** A whole number from `from`. */
export function count(from: number, unit = ''): Kind {
  return {
    words: `a whole number from ${from}${unit === '' ? '' : ` (${unit})`}`,
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= from,
    parse: (given) => (given.trim() === '' ? given : Number(given)),
  }
}

export function oneOf(...values: readonly string[]): Kind {
  return {
    words: `one of ${values.join(', ')}`,
    accepts: (value) => values.includes(value as string),
    parse: (given) => given,
  }
}

/** Whole numbers, separated by commas where they are read from a text. */
export const counts: Kind = {
  words: 'a list of whole numbers from 0 (milliseconds)',
  accepts: (value) => Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0),
  parse: (given) => (given.trim() === '' ? [] : given.split(',').map(Number)),
}

/** Names, separated by commas where they are read from a text. */
export const names: Kind = {
  words: 'a list of names',
  accepts: (value) => Array.isArray(value) && value.every((each) => text.accepts(each)),
  parse: (given) => (given.trim() === '' ? [] : given.split(',').map((each) => each.trim())),
}

/** An object or function that only code can give. */
export const code: Kind = {
  words: 'an object or function',
  accepts: (value) => (typeof value === 'object' && value !== null) || typeof value === 'function',
  parse: () => undefined,
}

/** For example `tls`: on, off or how. */
export const flagOrCode: Kind = {
  words: 'true, false or an object',
  accepts: (value) => flag.accepts(value) || code.accepts(value),
  parse: flag.parse,
}

/** The settings of one place, by name: what each may be, and the environment variable that it can come from. */
export type Fields = Readonly<Record<string, { readonly kind: Kind; readonly env?: string }>>

/**
 * Checks settings against their fields and fills in what is not given from the environment.
 *
 * @param place Where the settings stand, for the error: `broker.sqlite`.
 * @throws ConfigurationError naming the field and what would be right; for an unknown one the known ones.
 */
export function checked(
  place: string,
  given: Readonly<Record<string, unknown>>,
  fields: Fields,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, unknown> {
  const settings: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (field === undefined) {
      throw new ConfigurationError(`unknown option '${at(place, name)}'; known here: ${Object.keys(fields).join(', ')}`)
    }
    if (!field.kind.accepts(value)) {
      throw new ConfigurationError(
        `option '${at(place, name)}' must be ${field.kind.words}, not ${show(value, field.kind)}`,
      )
    }
    settings[name] = value
  }
  for (const [name, { kind, env: variable }] of Object.entries(fields)) {
    const raw = variable === undefined ? undefined : env[variable]
    if (settings[name] !== undefined || raw === undefined) continue
    const value = kind.parse(raw)
    if (!kind.accepts(value)) {
      throw new ConfigurationError(`environment variable ${variable} must be ${kind.words}, not ${show(raw, kind)}`)
    }
    settings[name] = value
  }
  return settings
}

function at(place: string, name: string): string {
  return place === '' ? name : `${place}.${name}`
}

/** A value as an error may show it: kinds, numbers and short texts, no contents. */
function show(value: unknown, { secret: hidden = false }: Kind): string {
  if (hidden) return `a value of type ${typeof value} (not shown)`
  if (typeof value === 'string') return value.length > 40 ? `a text of ${value.length} characters` : `'${value}'`
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  return Array.isArray(value) ? 'that list' : `a value of type ${typeof value}`
}
