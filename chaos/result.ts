/** The one line that a run ends with. */
import type { Capabilities } from '../packages/busbar/src/broker/index.ts'
import type { Kills } from './faults.ts'
import type { Comparison } from './ledger.ts'

export interface ChaosResult extends Omit<Comparison, 'unknown' | 'unconfirmed'> {
  readonly broker: string
  /** Processes and servers that were killed with -9. */
  readonly kills: number
  /** Promises that were broken, in words; empty: the run has passed. */
  readonly broken: readonly string[]
  readonly order: Capabilities['order']
  readonly unconfirmed: number
  readonly killed: Kills
  /** Connections that were cut. */
  readonly cuts: number
  /** Consumers that were frozen for a while. */
  readonly pauses: number
  readonly seconds: number
  readonly seed: number
  readonly setting: string
}

export interface Evidence {
  readonly broker: string
  readonly order: Capabilities['order']
  readonly comparison: Comparison
  readonly kills: Kills
  readonly cuts: number
  readonly pauses: number
  /** Processes that ended although nobody killed them. */
  readonly crashes: number
  /** Publishing came to no end. */
  readonly unfinished: boolean
  /** Consumers that did not end when they were asked to. */
  readonly unstoppable: number
  readonly seconds: number
  readonly seed: number
  readonly setting: string
}

export function judge(evidence: Evidence): ChaosResult {
  const { broker, order, comparison, kills, cuts, pauses, crashes, unfinished, unstoppable, seconds, seed, setting } =
    evidence
  const { published, confirmed, handled, duplicated, outOfOrder, lost, unknown, unconfirmed } = comparison
  const broken = [
    ...(lost > 0 ? [`${lost} confirmed messages were lost`] : []),
    ...(outOfOrder > 0 && order === 'key' ? [`${outOfOrder} messages were handled out of the order of their key`] : []),
    ...(unknown > 0 ? [`${unknown} messages were handled that nobody published`] : []),
    ...(crashes > 0 ? [`${crashes} processes ended that nobody had killed`] : []),
    ...(unfinished ? ['publishing did not come to its end'] : []),
    ...(unstoppable > 0 ? [`${unstoppable} consumers did not stop when they were asked to`] : []),
  ]
  return {
    broker,
    published,
    confirmed,
    handled,
    duplicated,
    outOfOrder,
    lost,
    kills: kills.publisher + kills.consumer + kills.server,
    broken,
    order,
    unconfirmed,
    killed: kills,
    cuts,
    pauses,
    seconds,
    seed,
    setting,
  }
}
