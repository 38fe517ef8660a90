import { ValidationError } from './errors.ts'
import type { Message, MessageKind, Priority } from './message.ts'
import type { Schema, Validate } from './schema.ts'

/** A contract or event class as the engine uses it: one shape for all of them, without their types. */
export interface Definition {
  readonly kind: MessageKind
  readonly type: string
  readonly version: number
  readonly topic?: string
  readonly priority?: Priority
  /** Dot paths of personal data, to be masked wherever people look. */
  readonly personal: readonly string[]
  /** The schema itself; absent where nothing is checked. */
  readonly schema?: Schema
  /** Absent where nothing is checked (`typed()`). */
  readonly validate?: Validate
  /** The same for the answer to a query. */
  readonly answer?: Validate
  /**
   * Brings data of an older version up to this one.
   * @throws ValidationError when the version is newer, or when no upcaster leads from it.
   */
  upcast(data: unknown, from: number): unknown
  /** Makes an instance of its class of a message, where the contract is a class. */
  readonly hydrate?: (message: Message) => Message
  readonly keyOf?: (data: unknown) => string | undefined
  readonly subjectOf?: (data: unknown) => string | undefined
}

/** Takes data of one version to the next one. Annotate the parameter with the old shape. */
export type Upcaster = { upcast(data: unknown): unknown }['upcast']

/** Upcasters by the version that they take; each leads to the next version. */
export type Upcasters = Readonly<Record<number, Upcaster>>

/** Runs the upcasters one after the other, from the message's version to the contract's. */
export function upcastWith(upcasters: Upcasters, type: string, version: number, data: unknown, from: number): unknown {
  if (from > version) {
    throw new ValidationError(type, from, [
      { path: '', message: `this program knows versions up to ${version} only; update it` },
    ])
  }
  let current = data
  for (let at = from; at < version; at++) current = step(upcasters[at], type, at, current)
  return current
}

function step(upcaster: Upcaster | undefined, type: string, from: number, data: unknown): unknown {
  if (upcaster === undefined) {
    throw new ValidationError(type, from, [
      { path: '', message: `no upcaster from version ${from}; add one to the contract` },
    ])
  }
  try {
    return upcaster(data)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ValidationError(type, from, [
      { path: '', message: `the upcaster from version ${from} failed: ${reason}` },
    ])
  }
}
