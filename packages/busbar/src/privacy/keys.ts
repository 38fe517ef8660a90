/** Where the key of each person is kept. Whoever deletes one has made all that was written with it unreadable. */
export interface KeyStore {
  /** Undefined: there never was one, or the person is forgotten. */
  find(person: string): Promise<Uint8Array | undefined>
  /**
   * The person's key of 32 bytes, made if there is none. Of several that ask at once all get the same.
   *
   * @throws PersonForgottenError
   */
  obtain(person: string): Promise<Uint8Array>
  /** Deletes the key for good and remembers that it was. False: there was none. Safe to call twice. */
  forget(person: string): Promise<boolean>
  /** Lets a person who was forgotten be written about again, with a new key. What was forgotten stays so. */
  readmit(person: string): Promise<void>
}
