import { randomBytes } from 'node:crypto'
import { KEY_BYTES } from './cipher.ts'
import { PersonForgottenError } from '../message/personal.ts'
import type { KeyStore } from './keys.ts'

/** Keys for as long as the process lives: for tests. */
export class MemoryKeyStore implements KeyStore {
  readonly #keys = new Map<string, Uint8Array | 'forgotten'>()

  async find(person: string): Promise<Uint8Array | undefined> {
    const key = this.#keys.get(person)
    return key === 'forgotten' ? undefined : key
  }

  async obtain(person: string): Promise<Uint8Array> {
    const known = this.#keys.get(person)
    if (known === 'forgotten') throw new PersonForgottenError()
    if (known !== undefined) return known
    const key = randomBytes(KEY_BYTES)
    this.#keys.set(person, key)
    return key
  }

  async forget(person: string): Promise<boolean> {
    const had = (this.#keys.get(person) ?? 'forgotten') !== 'forgotten'
    this.#keys.set(person, 'forgotten')
    return had
  }

  async readmit(person: string): Promise<void> {
    if (this.#keys.get(person) === 'forgotten') this.#keys.delete(person)
  }
}
