/** `up`, `down` and `status`: the servers that outlive the command which started them. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Docker } from './docker.ts'
import { isAlive } from './identity.ts'
import { launch, serverOf, type ServerProcess, stop } from './launch.ts'
import { withLock } from './lock.ts'
import { placeOf, portsOf, programsOf, secretOf } from './place.ts'
import { withoutPassword } from './probe.ts'
import { readRecord, type ServerRecord, writeRecord } from './records.ts'
import { type Say, ServerError, type ServerKind } from './server.ts'

export type Source = 'env' | 'docker' | 'native'

/** What became of one server at `up`. */
export type Upped =
  | { readonly kind: ServerKind; readonly source: Source; readonly url: string }
  | { readonly kind: ServerKind; readonly reason: string }

export interface Status {
  readonly name: string
  /** `dead`: started here and gone without a `down`. `stopped`: not started. */
  readonly state: 'ready' | 'not answering' | 'dead' | 'stopped'
  readonly source?: Source
  readonly pid?: number
  readonly url?: string
}

export interface BrokersOptions {
  /** Records and data. */
  readonly folder: string
  /** Downloads and builds. */
  readonly cache: string
  readonly env: Readonly<{ [name: string]: string | undefined }>
  readonly say: Say
}

export interface UpOptions {
  /** See `Place.durable`. Default false. */
  readonly durable?: boolean
  /** Never Docker. Default false. */
  readonly native?: boolean
}

export class Brokers {
  readonly #options: BrokersOptions
  readonly #docker: Docker

  constructor(options: BrokersOptions) {
    this.#options = options
    this.#docker = new Docker(options.folder)
  }

  /**
   * Makes each server run and resolves when all answer or have failed; those that run already are left as they are. One
   * that cannot be had has a reason, and does not keep the others from coming up.
   */
  async up(kinds: readonly ServerKind[], options: UpOptions = {}): Promise<readonly Upped[]> {
    return await this.#alone(async () => {
      const inDocker =
        options.native !== true && kinds.some((kind) => !this.#named(kind)) && (await this.#docker.answers())
      // What takes a while is said once, and packages are installed one at a time.
      const begun: Promise<Upped>[] = []
      for (const kind of kinds) {
        const start = await this.#prepare(kind, options.durable ?? false, inDocker).catch((error: Error) => error)
        begun.push(start instanceof Error ? Promise.resolve({ kind, reason: start.message }) : this.#timed(kind, start))
      }
      return await Promise.all(begun)
    })
  }

  /** Ends what `up` started, in order, and nothing else. Data stays. */
  async down(kinds: readonly ServerKind[]): Promise<void> {
    await this.#alone(async () => {
      const records = kinds.map((kind) => ({ kind, record: this.#record(kind) }))
      const ended = await Promise.allSettled(records.map(({ kind, record }) => this.#end(kind, record)))
      if (records.some(({ record }) => record?.source === 'docker' && record.ended !== true)) await this.#leaveDocker()
      const problems = ended.flatMap((one, index) =>
        one.status === 'rejected' ? [`${kinds[index]?.name}: ${(one.reason as Error).message}`] : [],
      )
      if (problems.length > 0) throw new ServerError(problems.join('\n'))
    })
  }

  async status(kinds: readonly ServerKind[]): Promise<readonly Status[]> {
    return await Promise.all(kinds.map((kind) => this.#statusOf(kind)))
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    return await withLock(this.#options.folder, work)
  }

  async #timed(kind: ServerKind, start: () => Promise<{ source: Source; url: string }>): Promise<Upped> {
    const began = performance.now()
    try {
      const { source, url } = await start()
      this.#options.say(`${kind.name}: ready after ${((performance.now() - began) / 1000).toFixed(2)} s (${source})`)
      return { kind, source, url }
    } catch (error) {
      return { kind, reason: (error as Error).message }
    }
  }

  /** Does what servers must not do at the same time; returns what they may. */
  async #prepare(
    kind: ServerKind,
    durable: boolean,
    inDocker: boolean,
  ): Promise<() => Promise<{ source: Source; url: string }>> {
    const named = this.#named(kind)
    if (named !== undefined) return () => this.#useNamed(kind, named)

    const record = this.#record(kind)
    if (record !== undefined && (await this.#comesReady(kind, record))) {
      const { source, url } = record
      if (record.durable === durable) return () => Promise.resolve({ source, url })
      const now = record.durable ? 'with' : 'without'
      throw new ServerError(`it runs ${now} --durable: script/brokers down ${kind.name} first, its data stays`)
    }
    if (inDocker) return () => this.#startContainer(kind, durable, record)

    // What is left of one that died, such as a helper process, goes first.
    if (record?.source === 'native') await this.#end(kind, record)
    const programs = await programsOf(kind, this.#options.cache, this.#options.say)
    const wanted = record === undefined ? {} : { wanted: record.ports }
    const place = await placeOf(kind, { folder: this.#folder(kind), programs, durable, ...wanted })
    return async () => {
      const url = kind.url(place)
      const began = (processes: readonly ServerProcess[]): void =>
        writeRecord(place.folder, { source: 'native', url, ports: place.ports, durable, processes })
      await launch(kind, place, { leashed: false, began })
      return { source: 'native', url }
    }
  }

  async #useNamed(kind: ServerKind, url: string): Promise<{ source: Source; url: string }> {
    try {
      await kind.answers(url)
    } catch (error) {
      throw new ServerError(
        `${kind.variable} names ${withoutPassword(url)}, which does not answer (${(error as Error).message}): start it, or unset the variable`,
      )
    }
    return { source: 'env', url }
  }

  async #startContainer(
    kind: ServerKind,
    durable: boolean,
    record: ServerRecord | undefined,
  ): Promise<{ source: Source; url: string }> {
    const folder = this.#folder(kind)
    const ports = await portsOf(kind, record?.ports ?? {})
    const container = { ports, secret: await secretOf(folder), durable }
    const url = kind.url(container)
    writeRecord(folder, { source: 'docker', url, ports, durable, processes: [] })
    this.#options.say(`${kind.name}: starting its container`)
    await this.#docker.up(kind, container)
    return { source: 'docker', url }
  }

  async #end(kind: ServerKind, record: ServerRecord | undefined): Promise<void> {
    if (record === undefined || record.ended === true) return
    if (record.source === 'docker') await this.#docker.down(kind)
    else await stop(kind, record.processes)
    writeRecord(this.#folder(kind), { ...record, processes: [], ended: true })
  }

  /** Removes what the containers shared, once none of them is left. */
  async #leaveDocker(): Promise<void> {
    if (!(await this.#docker.hasContainers())) await this.#docker.leave()
  }

  async #statusOf(kind: ServerKind): Promise<Status> {
    const { name } = kind
    const named = this.#named(kind)
    if (named !== undefined) {
      return { name, state: await stateOf(kind, named), source: 'env', url: withoutPassword(named) }
    }
    const record = this.#record(kind)
    if (record === undefined || record.ended === true) return { name, state: 'stopped' }
    const { source, url, processes } = record
    const pid = serverOf(processes)?.pid
    const state = (await this.#runs(kind, record)) ? await stateOf(kind, url) : 'dead'
    return { name, state, source, url, ...(pid === undefined ? {} : { pid }) }
  }

  /** Waits until it answers; false if it does not run, or ends while we wait. */
  async #comesReady(kind: ServerKind, record: ServerRecord): Promise<boolean> {
    const deadline = performance.now() + 60_000
    while (await this.#runs(kind, record)) {
      if ((await stateOf(kind, record.url)) === 'ready') return true
      if (performance.now() > deadline) {
        throw new ServerError(`it runs and does not answer: script/brokers down ${kind.name} ends it`)
      }
      await sleep(50)
    }
    return false
  }

  async #runs(kind: ServerKind, { source, processes, ended }: ServerRecord): Promise<boolean> {
    if (ended === true) return false
    if (source === 'docker') return await this.#docker.runs(kind).catch(() => false)
    const server = serverOf(processes)
    return server !== undefined && isAlive(server)
  }

  #record(kind: ServerKind): ServerRecord | undefined {
    return readRecord(this.#folder(kind))
  }

  #folder(kind: ServerKind): string {
    return join(this.#options.folder, kind.name)
  }

  #named(kind: ServerKind): string | undefined {
    const url = this.#options.env[kind.variable]?.trim()
    return url === '' ? undefined : url
  }
}

async function stateOf(kind: ServerKind, url: string): Promise<'ready' | 'not answering'> {
  return await kind.answers(url).then(
    () => 'ready',
    () => 'not answering',
  )
}
