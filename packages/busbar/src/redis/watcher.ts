import { performance } from 'node:perf_hooks'
import type { Redis } from 'ioredis'
import type { Connections } from '../ioredis/connections.ts'
import { list, type Reply, text } from './connection.ts'

/** Milliseconds of one blocking read; what wakes it otherwise is `CLIENT UNBLOCK`. */
const BLOCK = 5_000
/** Milliseconds after which a stream that stays read to its end is watched: what Busbar itself appends is heard of at once. */
const WATCH_AFTER = 200
/** Milliseconds where the server does not let us unblock. */
const BLOCK_SHORT = 100

interface Watch {
  /** Id after which an entry is news. */
  readonly after: string
  /** When it began, by `performance.now()`. */
  readonly since: number
  readonly grew: () => void
  readonly readBehind: ReadBehind | undefined
}

/** Reads over a connection what was sent over it just before. False: not now. */
export type ReadBehind = (redis: Redis) => boolean

const NOBODY: ReadonlySet<object> = new Set()

/**
 * Tells when streams grow. What this process appends it is told, and what others append with Busbar it hears over Pub/Sub; behind
 * that stands a blocking read, over a connection of its own, for what anybody else appends and for hints that were lost. The read
 * takes no message but the first, so that members fetch when they have room. Signals of topics are watched the same way, for as
 * long as somebody listens.
 */
export class Watcher {
  private readonly connections: Connections
  private readonly main: Redis
  private redis: Redis | undefined
  private clientId: string | undefined
  private readonly watches = new Map<string, Map<object, Watch>>()
  private readonly signals = new Map<string, { last: string; readonly listeners: Set<(fields: Fields) => void> }>()
  private blocked = false
  private changed: (() => void) | undefined
  private unblocking = false
  /** Counts changes of what is watched; `seen`: those that the read under way knows. */
  private wanted = 0
  private seen = 0
  private mayUnblock = true
  private watching: NodeJS.Timeout | undefined
  /** Streams of the read under way. */
  private reading: ReadonlySet<string> = new Set()
  private ended = false
  private loop: Promise<void> | undefined

  constructor(connections: Connections, main: Redis) {
    this.connections = connections
    this.main = main
  }

  async start(): Promise<void> {
    const redis = await this.connections.connect('watcher', { blocks: BLOCK })
    const identify = async (): Promise<void> => {
      this.clientId = String(await redis.client('ID'))
    }
    redis.on('ready', () => void identify().catch(() => {}))
    await identify()
    this.redis = redis
    this.loop = this.run(redis)
  }

  /** Calls `grew` once when the stream has an entry after `after`. Another call of the same owner replaces it. */
  watch(stream: string, owner: object, after: string, grew: () => void, readBehind?: ReadBehind): void {
    let watches = this.watches.get(stream)
    if (watches === undefined) this.watches.set(stream, (watches = new Map()))
    watches.set(owner, { after, since: performance.now(), grew, readBehind })
    this.watchLater()
  }

  unwatch(stream: string, owner: object): void {
    const watches = this.watches.get(stream)
    watches?.delete(owner)
    if (watches?.size === 0) this.watches.delete(stream)
  }

  /**
   * The stream will have grown when what was just sent over `redis` is carried out: whoever can reads behind it, over the same
   * connection, instead of a round trip later. Returns who does, and so has not to be told that it grew.
   */
  growing(stream: string, redis: Redis): ReadonlySet<object> {
    const reading = new Set<object>()
    for (const [owner, { readBehind }] of this.watches.get(stream) ?? []) {
      if (readBehind?.(redis) !== true) continue
      reading.add(owner)
      this.unwatch(stream, owner)
    }
    return reading
  }

  /** The stream is known to have grown. `except`: who has read it since. */
  grew(stream: string, except: ReadonlySet<object> = NOBODY): void {
    for (const [owner, { grew }] of this.watches.get(stream) ?? []) {
      if (except.has(owner)) continue
      this.unwatch(stream, owner)
      grew()
    }
  }

  /** Anything may have grown: whoever watches is to look. */
  anyMayHaveGrown(): void {
    for (const stream of new Set(this.watches.keys())) this.grew(stream)
  }

  /** Calls for each signal from now on; returns what ends it. Signals are hints: some may be left out under load. */
  async listen(stream: string, listener: (fields: Fields) => void): Promise<() => void> {
    let signal = this.signals.get(stream)
    if (signal === undefined) {
      const [last] = list(await this.main.xrevrange(stream, '+', '-', 'COUNT', 1))
      signal = this.signals.get(stream) ?? {
        last: last === undefined ? '0-0' : text(list(last)[0]),
        listeners: new Set(),
      }
      this.signals.set(stream, signal)
    }
    const { listeners } = signal
    listeners.add(listener)
    this.interrupt()
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.signals.get(stream)?.listeners === listeners) this.signals.delete(stream)
    }
  }

  async stop(): Promise<void> {
    this.ended = true
    clearTimeout(this.watching)
    this.changed?.()
    if (this.redis !== undefined) this.connections.close(this.redis)
    await this.loop
  }

  private async run(redis: Redis): Promise<void> {
    while (!this.ended) {
      this.seen = this.wanted
      const streams = [...this.positions()]
      this.reading = new Set(streams.map(([stream]) => stream))
      if (streams.length === 0) {
        await new Promise<void>((resolve) => (this.changed = resolve))
        this.changed = undefined
        continue
      }
      try {
        this.blocked = true
        const block = this.mayUnblock ? BLOCK : BLOCK_SHORT
        const args = [...streams.map(([stream]) => stream), ...streams.map(([, after]) => after)]
        const reply = await redis.xread('COUNT', 1, 'BLOCK', block, 'STREAMS', ...args)
        this.blocked = false
        for (const one of reply ?? []) this.news(one)
      } catch {
        this.blocked = false
        if (!this.ended) await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  /** A stream that is busy is not watched: each entry would end the read, and it is heard of anyway. */
  private *positions(): Iterable<readonly [string, string]> {
    const quiet = performance.now() - WATCH_AFTER
    let busy = false
    for (const [stream, watches] of this.watches) {
      let earliest: string | undefined
      for (const { after, since } of watches.values()) {
        if (since > quiet) busy = true
        else if (earliest === undefined || isBefore(after, earliest)) earliest = after
      }
      if (earliest !== undefined) yield [stream, earliest]
    }
    if (busy) this.watchLater()
    for (const [stream, { last }] of this.signals) yield [stream, last]
  }

  private news(reply: Reply): void {
    const [name, entries] = list(reply)
    const stream = text(name)
    const [first] = list(entries)
    const [id, fields] = list(first)
    const signal = this.signals.get(stream)
    if (signal !== undefined) {
      signal.last = text(id)
      const told = fieldsOf(list(fields))
      for (const listener of signal.listeners) listener(told)
      return
    }
    const watches = this.watches.get(stream)
    for (const [owner, watch] of watches ?? []) {
      if (!isBefore(watch.after, text(id))) continue
      this.unwatch(stream, owner)
      watch.grew()
    }
  }

  private watchLater(): void {
    this.watching ??= setTimeout(() => {
      this.watching = undefined
      if (this.hasNew()) this.interrupt()
    }, WATCH_AFTER)
  }

  /** Is there something quiet that the read under way does not know? */
  private hasNew(): boolean {
    const known = this.reading
    return [...this.positions()].some(([stream]) => !known.has(stream))
  }

  /** What is watched has changed: the read begins anew. */
  private interrupt(): void {
    this.wanted++
    if (this.changed !== undefined) return this.changed()
    if (this.unblocking || this.clientId === undefined) return
    this.unblocking = true
    setImmediate(() => void this.unblock())
  }

  /** Until the read is a new one: the call may reach the server before the read that it is to end. */
  private async unblock(): Promise<void> {
    try {
      while (this.blocked && this.seen < this.wanted && !this.ended && this.mayUnblock) {
        const reached = await this.main.client('UNBLOCK', Number(this.clientId))
        if (Number(reached) === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      }
    } catch (error) {
      if (/NOPERM|unknown|subcommand/i.test(String(error))) this.mayUnblock = false
    } finally {
      this.unblocking = false
    }
    if (this.blocked && this.seen < this.wanted && !this.ended && this.mayUnblock) {
      this.unblocking = true
      setTimeout(() => void this.unblock(), 50)
    }
  }
}

export type Fields = Readonly<Record<string, string>>

function fieldsOf(flat: readonly Reply[]): Fields {
  const fields: Record<string, string> = {}
  for (let index = 0; index + 1 < flat.length; index += 2) fields[text(flat[index])] = text(flat[index + 1])
  return fields
}

/** Whether a stream id comes before another one. */
export function isBefore(a: string, b: string): boolean {
  const [aMs = '0', aSeq = '0'] = a.split('-')
  const [bMs = '0', bSeq = '0'] = b.split('-')
  if (aMs !== bMs) return Number(aMs) < Number(bMs)
  return Number(aSeq) < Number(bSeq)
}
