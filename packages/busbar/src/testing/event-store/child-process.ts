import { extname } from 'node:path'
import type { Append, Appended, Checkpoints, EventStorage, StoredEvent } from '../../store/index.ts'
import { OtherProcess, type ProcessOptions } from '../suite/process.ts'
import type { TargetOptions } from '../suite/target.ts'
import { eventually } from '../suite/waiting.ts'
import type { Calling, Command, Drained, Keeping, Reading, Said } from './script.ts'

/** The extension is that of this file, so the same code works from source (.ts) and from the package (.js). */
const child = new URL(`./child${extname(import.meta.url)}`, import.meta.url).href

/** Another process with a storage of the target; the other end of `child.ts`. */
export class StorageProcess extends OtherProcess<Command, Said> {
  /** What `follow` has seen, in its order. */
  readonly followed: Extract<Said, { followed: unknown }>['followed'][] = []
  /** Appends of `appendOn` that were begun, and those that were confirmed. */
  readonly tried: (readonly Append[])[] = []
  readonly confirmed: (readonly Append[])[] = []
  /** Events that `fill` has appended. */
  #filled = 0

  constructor(options: ProcessOptions) {
    super(child, options, (said) => {
      if ('followed' in said) this.followed.push(said.followed)
      else if ('trying' in said) this.tried.push(said.trying)
      else this.confirmed.push(said.confirmed)
    })
  }

  /** Milliseconds; what it has filled is written or read within them at 5,000 events a second. */
  get #patienceForAll(): number {
    return LONG + this.#filled / 5
  }

  async start(module: string, options: TargetOptions): Promise<void> {
    await this.call({ do: 'start', module, options })
  }

  append(...appends: readonly Append[]): Promise<readonly Appended[]> {
    return this.storage('append', appends)
  }

  async storage<Name extends Calling>(
    method: Name,
    ...args: Parameters<EventStorage[Name]>
  ): Promise<Awaited<ReturnType<EventStorage[Name]>>> {
    return (await this.call({ do: 'call', method, args })) as Awaited<ReturnType<EventStorage[Name]>>
  }

  async read<Name extends Reading>(method: Name, ...args: Parameters<EventStorage[Name]>): Promise<StoredEvent[]> {
    return (await this.call({ do: 'read', method, args })) as StoredEvent[]
  }

  async checkpoints<Name extends Keeping>(
    method: Name,
    ...args: Parameters<Checkpoints[Name]>
  ): Promise<Awaited<ReturnType<Checkpoints[Name]>>> {
    return (await this.call({ do: 'keep', method, args })) as Awaited<ReturnType<Checkpoints[Name]>>
  }

  async follow(): Promise<void> {
    await this.call({ do: 'follow' })
  }

  async appendOn(streams: readonly string[], size: number): Promise<void> {
    await this.call({ do: 'appendOn', streams, size })
  }

  async compete(stream: string, count: number): Promise<readonly number[]> {
    return (await this.call({ do: 'compete', stream, count }, LONG)) as readonly number[]
  }

  async fill(stream: string, count: number, bytes = 200): Promise<void> {
    this.#filled += count
    await this.call({ do: 'fill', stream, count, bytes }, this.#patienceForAll)
  }

  async drain(options: { readonly stream?: string; readonly page?: number } = {}): Promise<Drained> {
    return (await this.call({ do: 'drain', ...options }, this.#patienceForAll)) as Drained
  }

  async cycleListeners(count: number): Promise<void> {
    await this.call({ do: 'cycleListeners', count }, LONG)
  }

  /** A clean end of the storage; the process lives on. */
  async stop(): Promise<void> {
    await this.call({ do: 'stop' })
  }

  /** Waits until so many appends of `appendOn` are confirmed. */
  async confirmedAtLeast(count: number): Promise<void> {
    const tell = (): string =>
      `${count} confirmed appends of process ${this.pid}, not ${this.confirmed.length} ${this.errors}`
    await eventually(() => this.confirmed.length >= count || !this.running, tell, this.patience)
    if (this.confirmed.length < count) throw new Error(`process ${this.pid} ended early ${this.errors}`)
  }
}

/** Milliseconds for commands that go through a whole store. */
const LONG = 300_000
