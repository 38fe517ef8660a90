import type { HandedOut } from './delivery.ts'

interface Lane {
  head: HandedOut
  readonly waiting: HandedOut[]
  /** Its head left the line: all that follows is parked, and so many of them are not stored yet. */
  leaving: number
}

/**
 * Messages of the log that are in memory, by key, where failed keys park: one at a time, because if it fails those behind
 * it must not have begun.
 */
export class Lanes {
  private readonly lanes = new Map<string, Lane>()

  /** Some of this key are in memory and not settled: what is set aside of it waits. */
  has(lane: string): boolean {
    return this.lanes.has(lane)
  }

  /** `blocked`: something before it in its lane is set aside. */
  enter(delivery: HandedOut, blocked: (lane: string) => boolean): 'go' | 'wait' | 'park' {
    const { lane: name } = delivery
    if (name === undefined) return 'go'
    const lane = this.lanes.get(name)
    if (lane === undefined) {
      const park = blocked(name)
      this.lanes.set(name, { head: delivery, waiting: [], leaving: park ? 1 : 0 })
      return park ? 'park' : 'go'
    }
    if (lane.leaving > 0) {
      lane.leaving++
      return 'park'
    }
    if (lane.head === delivery) return 'go'
    lane.waiting.push(delivery)
    return 'wait'
  }

  /** The head is to be set aside. Returns those that are to be parked behind it. */
  leave({ lane: name }: HandedOut): readonly HandedOut[] {
    const lane = name === undefined ? undefined : this.lanes.get(name)
    if (lane === undefined) return []
    const behind = lane.waiting.splice(0)
    lane.leaving = 1 + behind.length
    return behind
  }

  /** It is settled. Returns whose turn it is now. */
  settled({ lane: name }: HandedOut): HandedOut | undefined {
    const lane = name === undefined ? undefined : this.lanes.get(name)
    if (name === undefined || lane === undefined) return undefined
    if (lane.leaving > 0) {
      if (--lane.leaving === 0) this.lanes.delete(name)
      return undefined
    }
    const next = lane.waiting.shift()
    if (next === undefined) this.lanes.delete(name)
    else lane.head = next
    return next
  }
}
