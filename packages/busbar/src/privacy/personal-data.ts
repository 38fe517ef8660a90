import { BusbarError, DecodeError, EncodeError } from '../message/errors.ts'
import { JsonCodec } from '../message/json-codec.ts'
import { ERASED, KeysUnavailableError, type Privacy, replacePersonal, type Revealed } from '../message/personal.ts'
import { seal, unseal } from './cipher.ts'
import { KeyCache } from './key-cache.ts'
import type { KeyStore } from './keys.ts'

/** Only field of the object that stands in place of a value: the person and what was sealed, both base64url. */
const MARK = '$personal'

export interface PersonalDataOptions {
  readonly keys: KeyStore
  /**
   * Milliseconds for which a key is kept in memory. So long after `forget` in one process another one may still read. 0 asks the
   * key store each time. Default 10 000.
   */
  readonly cacheFor?: number
}

/**
 * Crypto-shredding: what a contract marks as personal is encrypted with a key of the person (AES-256-GCM) before it leaves, and
 * so wherever it is kept: logs, outboxes, event stores, dead letters, backups. Deleting the key makes all of it unreadable.
 *
 * @example
 * const privacy = new PersonalData({ keys: new SqlKeyStore({ … }) })
 * const bus = await createEventBus('postgres://…', { privacy })
 * await privacy.forget('customer-42')
 */
export class PersonalData implements Privacy {
  readonly #keys: KeyStore
  readonly #cache: KeyCache
  readonly #codec = new JsonCodec()

  constructor({ keys, cacheFor = 10_000 }: PersonalDataOptions) {
    this.#keys = keys
    this.#cache = new KeyCache(cacheFor)
  }

  protect(data: unknown, paths: readonly string[], person: string): unknown {
    const known = this.#cache.get(person)
    if (known !== undefined) return this.#sealed(data, paths, person, known)
    return this.#obtain(person).then((key) => {
      this.#cache.put(person, key)
      return this.#sealed(data, paths, person, key)
    })
  }

  reveal(data: unknown): Revealed | Promise<Revealed> {
    const people = new Set<string>()
    eachMark(data, (mark) => void people.add(personOf(mark)))
    if (people.size === 0) return { data, erased: false }
    const keys = new Map<string, Uint8Array | undefined>()
    const missing: string[] = []
    for (const person of people) {
      const key = this.#cache.get(person)
      if (key === undefined) missing.push(person)
      else keys.set(person, key)
    }
    if (missing.length === 0) return this.#opened(data, keys)
    return Promise.all(missing.map((person) => this.#find(person))).then((found) => {
      for (const [index, person] of missing.entries()) keys.set(person, found[index])
      return this.#opened(data, keys)
    })
  }

  /**
   * Forgets a person: what was written of them cannot be read by anybody any more, here at once and in other processes within
   * `cacheFor`. False: there was nothing to forget. It is for good.
   */
  async forget(person: string): Promise<boolean> {
    this.#cache.delete(person)
    const forgotten = await this.#keys.forget(person)
    this.#cache.delete(person)
    return forgotten
  }

  /** Lets somebody who was forgotten be written about again. */
  readmit(person: string): Promise<void> {
    return this.#keys.readmit(person)
  }

  async #obtain(person: string): Promise<Uint8Array> {
    try {
      return await this.#keys.obtain(person)
    } catch (error) {
      throw error instanceof BusbarError ? error : unavailable(error)
    }
  }

  async #find(person: string): Promise<Uint8Array | undefined> {
    const key = await this.#keys.find(person).catch((error: unknown) => {
      throw unavailable(error)
    })
    if (key !== undefined) this.#cache.put(person, key)
    return key
  }

  #sealed(data: unknown, paths: readonly string[], person: string, key: Uint8Array): unknown {
    const name = Buffer.from(person).toString('base64url')
    return replacePersonal(data, paths, (value, path) => {
      const text = this.#text(value, path)
      return { [MARK]: `${name}.${seal(text, key, person).toString('base64url')}` }
    })
  }

  #text(value: unknown, path: string): string {
    try {
      return this.#codec.encode(value)
    } catch (error) {
      throw new EncodeError(`personal data must be JSON: ${error instanceof Error ? error.message : ''}`, path)
    }
  }

  #opened(data: unknown, keys: ReadonlyMap<string, Uint8Array | undefined>): Revealed {
    let erased = false
    const opened = withoutMarks(data, (mark) => {
      const person = personOf(mark)
      const key = keys.get(person)
      if (key === undefined) {
        erased = true
        return ERASED
      }
      return this.#codec.decode(unseal(Buffer.from(sealedOf(mark), 'base64url'), key, person))
    })
    return { data: opened, erased }
  }
}

function unavailable(error: unknown): KeysUnavailableError {
  const reason = error instanceof Error ? error.message : String(error)
  return new KeysUnavailableError(`the keys of personal data cannot be reached: ${reason}`, { cause: error })
}

function markOf(value: object): string | undefined {
  const mark = (value as Record<string, unknown>)[MARK]
  return typeof mark === 'string' && Object.keys(value).length === 1 ? mark : undefined
}

function eachMark(value: unknown, found: (mark: string) => void): void {
  if (typeof value !== 'object' || value === null) return
  const mark = markOf(value)
  if (mark !== undefined) found(mark)
  else for (const one of Object.values(value)) eachMark(one, found)
}

/** What is decoded belongs to one reader alone, so it is changed in place. */
function withoutMarks(value: unknown, replace: (mark: string) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const mark = markOf(value)
  if (mark !== undefined) return replace(mark)
  const fields = value as Record<string, unknown>
  for (const [name, one] of Object.entries(fields)) {
    const put = withoutMarks(one, replace)
    if (put !== one) fields[name] = put
  }
  return value
}

function personOf(mark: string): string {
  return Buffer.from(partsOf(mark)[0], 'base64url').toString()
}

function sealedOf(mark: string): string {
  return partsOf(mark)[1]
}

function partsOf(mark: string): readonly [string, string] {
  const [person, sealed, ...more] = mark.split('.')
  if (person === undefined || sealed === undefined || more.length > 0) {
    throw new DecodeError(`the field '${MARK}' holds nothing that was encrypted here`)
  }
  return [person, sealed]
}
