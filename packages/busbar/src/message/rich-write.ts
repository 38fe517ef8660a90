import { isUnsafe } from './json-safety.ts'
import { isDate, isPlain } from './plain.ts'
import { instanceText, refused } from './refusal.ts'
import { MAX_DIGITS } from './rich-read.ts'

/** Plain JSON data that stands for any value that the rich codec carries. @throws EncodeError with the path */
export function tagged(data: unknown): unknown {
  return new Writer().write(data)
}

/** Deeper than any codec's limit allows, and well below where the stack ends. */
const DEEPEST = 1_000

const LIMIT = 10n ** BigInt(MAX_DIGITS)

class Writer {
  readonly #keys: PropertyKey[] = []
  readonly #above = new Set<object>()

  write(value: unknown): unknown {
    switch (typeof value) {
      case 'undefined':
        return { $undefined: true }
      case 'bigint':
        if (value >= LIMIT || value <= -LIMIT) throw refused(`it has more than ${MAX_DIGITS} digits`, this.#keys)
        return { $bigint: String(value) }
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : { $number: Object.is(value, -0) ? '-0' : String(value) }
      case 'object':
        return value === null ? null : this.#object(value)
      case 'function':
      case 'symbol':
        throw refused(`it is a ${typeof value}`, this.#keys)
      default:
        return value
    }
  }

  #object(value: object): unknown {
    if (isDate(value)) {
      if (Number.isNaN(value.getTime())) throw refused('it is an invalid Date', this.#keys)
      return { $date: value.toISOString() }
    }
    if (value instanceof Uint8Array)
      return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
    if (this.#above.has(value)) throw refused('the object contains itself', this.#keys)
    if (this.#above.size === DEEPEST) throw refused(`nested more than ${DEEPEST} deep`, this.#keys)
    this.#above.add(value)
    const written = this.#container(value)
    this.#above.delete(value)
    return written
  }

  #container(value: object): unknown {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (Array.isArray(value) && prototype === Array.prototype) return this.#array(value)
    if (prototype === Map.prototype) return { $map: this.#array([...(value as Map<unknown, unknown>)]) }
    if (prototype === Set.prototype) return { $set: this.#array([...(value as Set<unknown>)]) }
    if (isPlain(value)) return this.#fields(value)
    throw refused(instanceText(value), this.#keys)
  }

  #array(array: readonly unknown[]): readonly unknown[] {
    const written: unknown[] = []
    for (let i = 0; i < array.length; i++) {
      if (!(i in array)) throw refused('the array has a hole; use undefined', [...this.#keys, i])
      written.push(this.#at(i, array[i]))
    }
    return written
  }

  #fields(object: object): object {
    const entries = Object.entries(object)
    const escaped = entries.length === 1 && entries[0]?.[0].startsWith('$') === true
    const written: Record<string, unknown> = {}
    for (const [name, value] of entries) {
      if (isUnsafe(name, value)) throw refused('readers ignore a field of this name', [...this.#keys, name])
      written[escaped ? `$${name}` : name] = this.#at(name, value)
    }
    return written
  }

  #at(key: PropertyKey, value: unknown): unknown {
    this.#keys.push(key)
    const written = this.write(value)
    this.#keys.pop()
    return written
  }
}
