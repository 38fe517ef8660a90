import { keyPath } from '../message/path.ts'

/** A place where two values are not the same. */
export interface Difference {
  readonly keys: readonly PropertyKey[]
  /** `items[2].price`; empty for the whole value. */
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/**
 * Where `after` is not what `before` was. A field that is `undefined` is as good as one that is absent, and -0 as 0: no
 * handler that works with one fails with the other.
 */
export function differences(before: unknown, after: unknown): readonly Difference[] {
  return [...compare(before, after, [])]
}

function* compare(before: unknown, after: unknown, keys: readonly PropertyKey[]): Generator<Difference> {
  if (before === after || Object.is(before, after)) return
  if (!isObject(before) || !isObject(after) || !alike(before, after)) {
    yield { keys, path: keyPath(keys), before, after }
    return
  }
  for (const [key, one, other] of parts(before, after)) yield* compare(one, other, [...keys, key])
}

/** Of the same class, and the same where they have no parts to compare. */
function alike(before: object, after: object): boolean {
  if (!sameClass(before, after)) return false
  if (before instanceof Date) return Object.is(before.getTime(), (after as Date).getTime())
  if (Array.isArray(before)) return before.length === (after as unknown[]).length
  if (ArrayBuffer.isView(before)) return before.byteLength === (after as ArrayBufferView).byteLength
  return true
}

/** Buffers are bytes as any others. */
function sameClass(before: object, after: object): boolean {
  if (before instanceof Uint8Array && after instanceof Uint8Array) return true
  return Object.getPrototypeOf(before) === Object.getPrototypeOf(after) || (isPlain(before) && isPlain(after))
}

function parts(before: object, after: object): readonly (readonly [PropertyKey, unknown, unknown])[] {
  if (before instanceof Map && after instanceof Map) return ofLists([...before], [...after])
  if (before instanceof Set && after instanceof Set) return ofLists([...before], [...after])
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].map((name) => {
    const key = Array.isArray(before) ? Number(name) : name
    return [key, Reflect.get(before, name), Reflect.get(after, name)]
  })
}

function ofLists(
  before: readonly unknown[],
  after: readonly unknown[],
): readonly (readonly [number, unknown, unknown])[] {
  return Array.from({ length: Math.max(before.length, after.length) }, (_, i) => [i, before[i], after[i]])
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** What is at the end of `keys`, if anything. */
export function valueAt(value: unknown, keys: readonly PropertyKey[]): unknown {
  return keys.reduce<unknown>((at, key) => (isObject(at) ? Reflect.get(at, key) : undefined), value)
}
