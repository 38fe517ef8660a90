import { DecodeError } from './errors.ts'

/** Longest `BigInt` carried: reading takes time that grows faster than the text, seconds for some megabytes. */
export const MAX_DIGITS = 10_000

/** The values that tagged data stands for. Its depth has been checked. @throws DecodeError for a tag that is unknown or broken */
export function untagged(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(untagged)
  const names = Object.keys(value)
  const [name = ''] = names
  if (names.length !== 1 || !name.startsWith('$')) return fields(value, names, '')
  if (name.startsWith('$$')) return fields(value, names, '$')
  const revive = Object.hasOwn(revivers, name) ? revivers[name] : undefined
  const revived = revive?.((value as Record<string, unknown>)[name])
  if (revived === undefined) {
    if (name === '$undefined') return undefined
    throw new DecodeError(
      `the body has a value tagged ${JSON.stringify(name.slice(0, 40))} that this codec cannot read`,
    )
  }
  return revived
}

function fields(object: object, names: readonly string[], escape: string): object {
  const read: Record<string, unknown> = {}
  for (const name of names) read[name.slice(escape.length)] = untagged((object as Record<string, unknown>)[name])
  return read
}

const NUMBERS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
  '-0': -0,
}

/** Each gives `undefined` for what it cannot read. */
const revivers: Readonly<Record<string, (written: unknown) => unknown>> = {
  $bigint: (written) =>
    typeof written === 'string' && /^-?\d+$/.test(written) && written.length <= MAX_DIGITS + 1
      ? BigInt(written)
      : undefined,
  $number: (written) => (typeof written === 'string' && Object.hasOwn(NUMBERS, written) ? NUMBERS[written] : undefined),
  $date: (written) => (typeof written === 'string' ? validDate(new Date(written)) : undefined),
  $bytes: (written) => (typeof written === 'string' ? Uint8Array.from(Buffer.from(written, 'base64')) : undefined),
  $set: (written) => (Array.isArray(written) ? new Set(written.map(untagged)) : undefined),
  $map: (written) =>
    isPairs(written) ? new Map(written.map(([key, value]) => [untagged(key), untagged(value)])) : undefined,
}

function validDate(date: Date): Date | undefined {
  return Number.isNaN(date.getTime()) ? undefined : date
}

function isPairs(written: unknown): written is readonly (readonly [unknown, unknown])[] {
  return Array.isArray(written) && written.every((pair) => Array.isArray(pair) && pair.length === 2)
}
