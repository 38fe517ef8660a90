import { EncodeError } from './errors.ts'
import { isUnsafe } from './json-safety.ts'
import { isDate, isPlain } from './plain.ts'
import { keyPath } from './path.ts'

/** Why data cannot be written as JSON, and where. For data that has been refused already. */
export function refusalOf(data: unknown, maxDepth: number): EncodeError {
  return new Search(maxDepth).find(data) ?? new EncodeError('the data changed while it was being written', '')
}

/** Depth first, keeping the way that led here. */
class Search {
  readonly #maxDepth: number
  readonly #keys: PropertyKey[] = []
  readonly #above: unknown[] = []

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth
  }

  find(value: unknown): EncodeError | undefined {
    const reason = this.#reason(value)
    if (reason !== undefined) return refused(reason, this.#keys)
    if (typeof value !== 'object' || value === null || value instanceof Date) return undefined
    this.#above.push(value)
    const found = Array.isArray(value) ? this.#inArray(value) : this.#inObject(value)
    this.#above.pop()
    return found
  }

  #reason(value: unknown): string | undefined {
    if (typeof value === 'object' && value !== null) {
      if (this.#above.includes(value)) return 'the object contains itself'
      if (this.#above.length === this.#maxDepth)
        return `nested more than ${this.#maxDepth} deep (maxDepth of the codec)`
    }
    return unwritable(value)
  }

  #inArray(array: readonly unknown[]): EncodeError | undefined {
    for (let i = 0; i < array.length; i++) {
      if (!(i in array)) return refused('the array has a hole; use null', [...this.#keys, i])
      const found = this.#at(i, array[i])
      if (found !== undefined) return found
    }
    return undefined
  }

  #inObject(object: object): EncodeError | undefined {
    for (const [name, value] of Object.entries(object)) {
      if (value === undefined) continue
      if (isUnsafe(name, value)) return refused('readers ignore a field of this name', [...this.#keys, name])
      const found = this.#at(name, value)
      if (found !== undefined) return found
    }
    return undefined
  }

  #at(key: PropertyKey, value: unknown): EncodeError | undefined {
    this.#keys.push(key)
    const found = this.find(value)
    this.#keys.pop()
    return found
  }
}

export function refused(reason: string, keys: readonly PropertyKey[]): EncodeError {
  const path = keyPath(keys)
  return new EncodeError(`${path === '' ? 'the data' : path} cannot be written: ${reason}`, path)
}

/** Why a value by itself is not JSON; `undefined` where it is, or where that is up to what is in it. */
function unwritable(value: unknown): string | undefined {
  switch (typeof value) {
    case 'undefined':
      return 'it is undefined; use null'
    case 'number':
      return Number.isFinite(value) ? undefined : `it is ${value}; ${OR_RICH}`
    case 'bigint':
      return `it is a BigInt; use a string, ${OR_RICH}`
    case 'function':
    case 'symbol':
      return `it is a ${typeof value}`
    case 'object':
      return value === null || Array.isArray(value) ? arrayOfClass(value) : unwritableObject(value)
    default:
      return undefined
  }
}

const OR_RICH = 'or give the bus the RichJsonCodec'

function arrayOfClass(value: readonly unknown[] | null): string | undefined {
  return value === null || Object.getPrototypeOf(value) === Array.prototype ? undefined : instanceText(value)
}

function unwritableObject(value: object): string | undefined {
  if (isPlain(value)) return undefined
  if (isDate(value)) return Number.isNaN(value.getTime()) ? 'it is an invalid Date' : undefined
  if (value instanceof Map || value instanceof Set)
    return `it is a ${value.constructor.name}; use an object or array, ${OR_RICH}`
  if (value instanceof Uint8Array) return `it is bytes; send them as the whole data, ${OR_RICH}`
  return instanceText(value)
}

/** `toJSON` is not asked, because what it gives would not come back as what it was. */
export function instanceText(value: object): string {
  const made: unknown = value.constructor
  const name = typeof made === 'function' && made.name !== '' ? made.name : 'a class'
  return `it is an instance of ${name}; copy its fields into a plain object (toJSON is not asked)`
}
