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

/** What is known of a run beside its ledger. */
export interface Circumstances {
  readonly order: Capabilities['order']
  readonly cuts: number
  readonly pauses: number
  /** Processes that ended although nobody killed them. */
  readonly crashes: number
  /** What was to be done came to no end. */
  readonly unfinished: boolean
  /** Processes that did not end when they were asked to. */
  readonly unstoppable: number
  readonly seconds: number
  readonly seed: number
  readonly setting: string
}

export interface Evidence extends Circumstances {
  readonly broker: string
  readonly comparison: Comparison
  readonly kills: Kills
}

export function judge(evidence: Evidence): ChaosResult {
  const { broker, order, comparison, kills } = evidence
  const { published, confirmed, handled, duplicated, outOfOrder, lost, unknown, unconfirmed } = comparison
  const broken = [
    ...counted(lost, 'confirmed messages were lost'),
    ...counted(order === 'key' ? outOfOrder : 0, 'messages were handled out of the order of their key'),
    ...counted(unknown, 'messages were handled that nobody published'),
    ...disorder(evidence, 'publishing'),
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
    ...circumstancesOf(evidence),
  }
}

/** What was broken, if it was. */
export function counted(count: number, what: string): string[] {
  return count > 0 ? [`${count} ${what}`] : []
}

/** What went wrong with the processes themselves. */
export function disorder({ crashes, unfinished, unstoppable }: Circumstances, work: string): string[] {
  return [
    ...counted(crashes, 'processes ended that nobody had killed'),
    ...(unfinished ? [`${work} did not come to its end`] : []),
    ...counted(unstoppable, 'processes did not stop when they were asked to'),
  ]
}

/** The end of the line, the same for every run. */
export function circumstancesOf({ cuts, pauses, seconds, seed, setting }: Circumstances) {
  return { cuts, pauses, seconds, seed, setting }
}
