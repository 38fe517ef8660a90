import { tooLarge } from './codec.ts'
import { isOwn } from './json-copy.ts'
import { isUnsafe } from './json-safety.ts'
import { isDate, isPlain } from './plain.ts'
import { refusalOf } from './refusal.ts'

const { getPrototypeOf } = Object

/** Given back instead of a copy; why is found out by a second, slower look, which no good message pays for. */
const REFUSED = Symbol('refused')

/**
 * One look at data before it becomes JSON: everything that plain JSON would change or drop is refused.
 * Written for speed, since it runs for every message; `refusal.ts` finds the words.
 */
export class JsonWalk {
  /** Least number of bytes that the value last looked at takes as JSON. */
  floor = 0
  readonly #maxBytes: number
  readonly #maxDepth: number

  constructor(maxBytes: number, maxDepth: number) {
    this.#maxBytes = maxBytes
    this.#maxDepth = maxDepth
  }

  /** @returns The floor. @throws EncodeError, MessageTooLargeError */
  check(data: unknown): number {
    this.floor = 0
    if (!this.#accepts(data, this.#maxDepth)) this.#refuse(data)
    return this.floor
  }

  /** What the JSON text of the data would be parsed to. @throws EncodeError, MessageTooLargeError */
  copy(data: unknown): unknown {
    this.floor = 0
    const copy = this.#copied(data, this.#maxDepth)
    return copy === REFUSED ? this.#refuse(data) : copy
  }

  #refuse(data: unknown): never {
    if (this.floor > this.#maxBytes) throw tooLarge(undefined, this.#maxBytes)
    throw refusalOf(data, this.#maxDepth)
  }

  #accepts(value: unknown, depth: number): boolean {
    switch (typeof value) {
      case 'string':
        return (this.floor += value.length + 2) <= this.#maxBytes
      case 'number':
        this.floor++
        return Number.isFinite(value)
      case 'boolean':
        this.floor += 4
        return true
      case 'object':
        if (value === null) {
          this.floor += 4
          return true
        }
        if (depth === 0 || ++this.floor > this.#maxBytes) return false
        if (Array.isArray(value)) return this.#acceptsArray(value, depth)
        return this.#acceptsObject(value, depth)
      default:
        return false
    }
  }

  #acceptsArray(array: readonly unknown[], depth: number): boolean {
    if (getPrototypeOf(array) !== Array.prototype) return false
    this.floor += array.length
    for (let i = 0; i < array.length; i++) if (!this.#accepts(array[i], depth - 1)) return false
    return true
  }

  #acceptsObject(object: object, depth: number): boolean {
    if (!isPlain(object)) return isDate(object) && this.#acceptsDate(object)
    for (const name of Object.keys(object)) {
      const value = (object as Record<string, unknown>)[name]
      if (value === undefined) continue
      this.floor += name.length + 4
      if (isUnsafe(name, value) || !this.#accepts(value, depth - 1)) return false
    }
    return true
  }

  #acceptsDate(date: Date): boolean {
    this.floor += 25
    return !Number.isNaN(date.getTime())
  }

  #copied(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null) {
      if (!this.#accepts(value, depth)) return REFUSED
      return value === 0 ? 0 : value
    }
    if (depth === 0 || ++this.floor > this.#maxBytes) return REFUSED
    if (Array.isArray(value)) return this.#copiedArray(value, depth)
    if (isPlain(value)) return this.#copiedObject(value, depth)
    return isDate(value) && this.#acceptsDate(value) ? value.toISOString() : REFUSED
  }

  #copiedArray(array: readonly unknown[], depth: number): unknown {
    if (getPrototypeOf(array) !== Array.prototype) return REFUSED
    this.floor += array.length
    const copy: unknown[] = array.slice()
    for (let i = 0; i < copy.length; i++) {
      const value = this.#copied(copy[i], depth - 1)
      if (value === REFUSED) return REFUSED
      copy[i] = value
    }
    return copy
  }

  #copiedObject(object: object, depth: number): unknown {
    const copy = { ...object } as Record<string, unknown>
    let whole = Object.getOwnPropertySymbols(copy).length === 0
    for (const name in copy) {
      if (!isOwn(copy, name)) continue
      const value = copy[name]
      if (value === undefined) {
        whole = false
        continue
      }
      this.floor += name.length + 4
      if (isUnsafe(name, value)) return REFUSED
      const child = this.#copied(value, depth - 1)
      if (child === REFUSED) return REFUSED
      if (!Object.is(child, value)) copy[name] = child
    }
    return whole ? copy : withoutGaps(copy)
  }
}

/** Without fields that are undefined and without symbols. */
function withoutGaps(object: Readonly<Record<string, unknown>>): object {
  const kept: Record<string, unknown> = {}
  for (const name of Object.keys(object)) if (object[name] !== undefined) kept[name] = object[name]
  return kept
}
