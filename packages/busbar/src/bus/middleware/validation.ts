import { type ContractLike, type Definition, definitionOf, definitionOfMessage } from '../../message/contract.ts'
import { ConfigurationError, ValidationError, type ValidationIssue } from '../../message/errors.ts'
import type { Message } from '../../message/message.ts'
import type { Middleware } from '../middleware.ts'

/** What is wrong with a message: nothing, one thing in words, or several with their paths. */
export type Verified = void | undefined | string | readonly ValidationIssue[]

export interface ValidationOptions {
  /** Contracts to check by. Default: the one that a message was made from, where it still knows it. */
  readonly contracts?: readonly ContractLike[]
  /** A check of your own, on both sides, for what a schema cannot say (rights of the tenant, references …). */
  readonly check?: (message: Message) => Verified | Promise<Verified>
}

/**
 * Validates here, at this place of the pipeline: what it refuses no middleware further in gets to see.
 *
 * The engine validates by the contract in any case, after the last middleware at publish and before the first one at
 * consume. So this is for refusing early, before enrichment costs something, and for checks of your own. Contracts are
 * checked at publish only: a consumed message holds the schema's output already.
 *
 * What does not fit rejects the publish with a ValidationError; at consume it goes to the dead letters without a retry.
 */
export function validation({ contracts = [], check }: ValidationOptions = {}): Middleware {
  const byType = new Map(contracts.map((contract) => [definitionOf(contract).type, definitionOf(contract)]))
  if (byType.size < contracts.length)
    throw new ConfigurationError('validation was given two contracts of the same type')
  return {
    name: 'validation',
    async publish(message, next) {
      await byContract(message, byType.get(message.type) ?? definitionOfMessage(message))
      if (check !== undefined) refuse(message, await check(message))
      await next(message)
    },
    async consume({ message }, next) {
      if (check !== undefined) refuse(message, await check(message))
      return next(message)
    },
  }
}

async function byContract(message: Message, definition: Definition | undefined): Promise<void> {
  if (definition?.validate === undefined) return
  const { version } = definition
  const data = message.version === version ? message.data : definition.upcast(message.data, message.version)
  const outcome = await definition.validate(data)
  if ('issues' in outcome) refuse(message, outcome.issues)
}

function refuse({ type, version }: Message, verified: Verified): void {
  const issues = typeof verified === 'string' ? [{ path: '', message: verified }] : (verified ?? [])
  if (issues.length > 0) throw new ValidationError(type, version, issues)
}
