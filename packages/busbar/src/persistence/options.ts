import type { Broker } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { type ContractLike, definitionOf, matchesPattern } from '../message/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { EventStorage } from '../store/index.ts'

export interface PersistenceOptions {
  readonly broker: Broker
  readonly storage: EventStorage
  readonly shouldPersist?: ShouldPersist
  /** Whether this process hands on what is stored, where the broker is not on the storage's own log. Default true. */
  readonly relay?: boolean
  /** Relays of one name take turns. Default `relay`. */
  readonly name?: string
  readonly logger?: BrokerLogger
}

/**
 * Which messages are kept in the event store before they are published: contracts, types and patterns, or a function of what a message
 * says beside its data. Default: every event that has a subject.
 */
export type ShouldPersist = readonly (ContractLike | string)[] | ((message: EncodedMessage) => boolean)

export function policyOf(given: ShouldPersist | undefined): (message: EncodedMessage) => boolean {
  if (given === undefined) return ({ kind, subject }) => kind === 'event' && subject !== undefined && subject !== ''
  if (typeof given === 'function') return given
  const patterns = given.map((each) => (typeof each === 'string' ? each : definitionOf(each).type))
  // What is no pattern is told now, and not with the first message.
  for (const pattern of patterns) matchesPattern(pattern, '')
  return ({ type, kind }) => kind === 'event' && patterns.some((pattern) => matchesPattern(pattern, type))
}
