/** What is published and handled. */
import { event, typed } from '../packages/busbar/src/message/index.ts'

export interface Numbered {
  readonly key: string
  /** Counts up from 0 within its key: what order and loss are told by. */
  readonly n: number
}

export const Happened = event('ChaosHappened', typed<Numbered>(), { key: ({ key }) => key })

/** Every group gets every message. */
export const groups = ['billing', 'shipping'] as const
export const topic = 'chaos'
