/** The real input: the payloads that GitHub's webhooks sent to people who gave them to the octokit project. */
import { createRequire } from 'node:module'

import type { Message } from 'busbar'
import { z } from 'zod'

import { contracts, isKind, type Kind } from './contracts.ts'

export interface Payload {
  readonly kind: Kind
  readonly body: unknown
}

const file = z.array(z.object({ name: z.string(), examples: z.array(z.unknown()) }))

/** All payloads, in the order of the package: 329 of 58 kinds. */
export const payloads: readonly Payload[] = read()

function read(): Payload[] {
  const kinds = file.parse(createRequire(import.meta.url)('@octokit/webhooks-examples'))
  return kinds.flatMap(({ name, examples }) => {
    if (!isKind(name)) throw new Error(`no contract is declared for webhooks of kind '${name}': add it to contracts.ts`)
    return examples.map((body) => ({ kind: name, body }))
  })
}

/** What the example's ledger knows of a message before it is published. */
export interface Address {
  readonly id: string
  /** Place among the messages with the same key, from 1. Travels as the header `sequence`, so that order can be checked. */
  readonly sequence: number
}

/**
 * The message that a payload is published as. Made again with the same address, it is the same message: a repeated
 * publish (after a crash between the publish and its note in the ledger) can be recognised by its id.
 */
export function messageOf({ kind, body }: Payload, { id, sequence }: Address): Message {
  // The payloads come from a file, so only the bus can check them: at publish, by the contract.
  const contract = contracts[kind] as { create(data: unknown, metadata: object, options: object): Message }
  return contract.create(body, { sequence: String(sequence) }, { id })
}

/** The key that a payload will have: what its contract derives from it. */
export function keyOf(payload: Payload): string {
  const { key, subject } = messageOf(payload, { id: 'key', sequence: 0 })
  return key ?? subject ?? ''
}
