/** The one line that a run of the outbox ends with. */
import { type ChaosResult, type Circumstances, circumstancesOf, counted, disorder } from '../result.ts'
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

export interface OutboxEvidence extends Circumstances {
  readonly comparison: OutboxComparison
  readonly rolledBack: number
  readonly killed: OutboxKills
}

export function judge(evidence: OutboxEvidence): OutboxChaosResult {
  const { comparison, rolledBack, killed, order } = evidence
  const { orders, effects, missing, invented, duplicated, outOfOrder } = comparison
  const broken = [
    ...counted(missing, 'committed orders have no effect'),
    ...counted(invented, 'orders that were never committed have an effect'),
    ...counted(duplicated, 'effects came twice'),
    ...counted(order === 'key' ? outOfOrder : 0, 'effects came out of the order of their customer'),
    ...disorder(evidence, 'placing orders'),
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
    ...circumstancesOf(evidence),
  }
}
