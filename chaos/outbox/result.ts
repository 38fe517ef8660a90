/** The one line that a run of the outbox ends with. */
import type { Capabilities } from '../../packages/busbar/src/broker/index.ts'
import type { ChaosResult } from '../result.ts'
import type { OutboxComparison } from './ledger.ts'

export interface OutboxKills {
  app: number
  relay: number
  consumer: number
  server: number
}

export interface OutboxChaosResult extends Omit<ChaosResult, 'killed'> {
  readonly missing: number
  readonly invented: number
  /** Transactions that were rolled back on purpose. */
  readonly rolledBack: number
  readonly killed: OutboxKills
}

export interface OutboxEvidence {
  readonly order: Capabilities['order']
  readonly comparison: OutboxComparison
  readonly rolledBack: number
  readonly killed: OutboxKills
  readonly cuts: number
  readonly pauses: number
  /** Processes that ended although nobody killed them. */
  readonly crashes: number
  /** Placing came to no end. */
  readonly unfinished: boolean
  /** Processes that did not end when they were asked to. */
  readonly unstoppable: number
  readonly seconds: number
  readonly seed: number
  readonly setting: string
}

export function judge(evidence: OutboxEvidence): OutboxChaosResult {
  const { comparison, rolledBack, killed, crashes, unfinished, unstoppable, order, ...rest } = evidence
  const { orders, effects, missing, invented, duplicated, outOfOrder } = comparison
  const broken = [
    ...(missing > 0 ? [`${missing} committed orders have no effect`] : []),
    ...(invented > 0 ? [`${invented} orders that were never committed have an effect`] : []),
    ...(duplicated > 0 ? [`${duplicated} effects came twice`] : []),
    ...(outOfOrder > 0 && order === 'key' ? [`${outOfOrder} effects came out of the order of their customer`] : []),
    ...(crashes > 0 ? [`${crashes} processes ended that nobody had killed`] : []),
    ...(unfinished ? ['placing orders did not come to its end'] : []),
    ...(unstoppable > 0 ? [`${unstoppable} processes did not stop when they were asked to`] : []),
  ]
  return {
    broker: 'outbox',
    published: orders + rolledBack,
    confirmed: orders,
    handled: effects,
    duplicated,
    outOfOrder,
    lost: missing,
    kills: killed.app + killed.relay + killed.consumer + killed.server,
    missing,
    invented,
    broken,
    order,
    rolledBack,
    unconfirmed: 0,
    killed,
    cuts: rest.cuts,
    pauses: rest.pauses,
    seconds: rest.seconds,
    seed: rest.seed,
    setting: rest.setting,
  }
}
