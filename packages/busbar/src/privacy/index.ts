/** Personal data: encrypted wherever it is kept, with one key for each person, so that it can be forgotten. */
export { PersonForgottenError } from '../message/personal.ts'
export type { KeyStore } from './keys.ts'
export { MemoryKeyStore } from './memory-keys.ts'
export { PersonalData, type PersonalDataOptions } from './personal-data.ts'
export { SqlKeyStore, type SqlKeyStoreOptions } from './sql-keys.ts'
