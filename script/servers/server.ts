/**
 * What a kind of server must be, so that it can be had for tests. One file a server, all of this shape: `redis.ts`,
 * `postgres.ts`, `rabbitmq.ts`, `nats.ts`, `kafka.ts`.
 */

export const serverNames = ['redis', 'postgres', 'rabbitmq', 'nats', 'kafka'] as const
export type ServerName = (typeof serverNames)[number]

/** A server that cannot be had, with the reason and what to do. */
export class ServerError extends Error {
  override readonly name: string = 'ServerError'
}

/** Tells a person what takes a while. */
export type Say = (text: string) => void

/** Paths of programs (or folders of them), by what the server calls them. */
export type Programs = Readonly<Record<string, string>>

/** One server of one kind: where it keeps things and how it is to run. */
export interface Place {
  /** Absolute path of a folder of its own. Whatever the server writes is in it, and is found again by the next start. */
  readonly folder: string
  /** Private ports on loopback by role; `main` is the one that clients connect to. */
  readonly ports: Readonly<Record<string, number>>
  /** Password of its user, and what its node name is made of: drawn once for each folder. */
  readonly secret: string
  /** Confirmed means on the disk, not only in the system's memory. Slower; a killed process loses nothing either way. */
  readonly durable: boolean
  /** Port that it names to its clients instead of its own, where it names one. Default: its own. */
  readonly advertised?: number
  readonly programs: Programs
}

/** A process of a server. */
export interface Command {
  /** `server`, or what a helper process is for. */
  readonly role: string
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Runs as this user, where we are root and the server refuses to be. */
  readonly user?: User
  /** Rejects while the process is not ready. Needed of helpers only: the server itself is asked by `ServerKind.answers`. */
  answers?(): Promise<void>
}

export interface User {
  readonly name: string
  /** Linux capabilities that it keeps, for example `dac_override`. */
  readonly capabilities: readonly string[]
}

export interface ServerKind {
  /** Also the name of its service in `compose.yaml`. */
  readonly name: string
  /** Environment variable with its URL, for example `BUSBAR_REDIS_URL`. */
  readonly variable: string
  /** Port where the URL names none. */
  readonly defaultPort: number
  /** The private ports that it needs; `main` is among them. */
  readonly ports: readonly string[]
  /** Asks it to end in order. */
  readonly stopSignal: 'SIGTERM' | 'SIGINT'

  /** What it prints when it ends for a reason that passes by itself: it is started again then, for a while. */
  readonly passing?: RegExp

  /**
   * Finds its programs, and gets them where they are missing and this machine allows it.
   * @param cache folder for downloads, kept from one time to the next
   * @throws ServerError with the reason
   */
  install(cache: string, say: Say): Promise<Programs>
  /** Writes its configuration and, the first time, initialises its data. Whatever was interrupted is done again. */
  prepare(place: Place): Promise<void>
  /** The helpers first, each needed by the next; the server last. */
  commands(place: Place): Promise<readonly Command[]>
  /** What clients connect with. Docker's containers have the same user, so it holds for those too. */
  url(place: Pick<Place, 'ports' | 'secret'>): string
  /** Resolves if the server at the URL takes requests now, by a question in its own protocol; rejects with the reason. */
  answers(url: string): Promise<void>
}
