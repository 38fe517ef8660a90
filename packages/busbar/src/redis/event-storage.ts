import type { Redis } from 'ioredis'
import { UnsupportedError } from '../broker/index.ts'
import { Lifecycle } from '../broker/lifecycle.ts'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import type { Connections } from '../ioredis/connections.ts'
import {
  type Append,
  type Appended,
  AppendError,
  type AppendOptions,
  checkAppends,
  checkName,
  ConcurrencyError,
  type DeleteStreamOptions,
  DuplicateEventError,
  type EventStorage,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StorageCapabilities,
  type StoredEvent,
  type StoreHead,
  StreamDeletedError,
  type StreamInfo,
  type Wake,
} from '../store/index.ts'
import { connectionsTo, list, type Reply, text } from './connection.ts'
import { RedisCheckpoints } from './event-checkpoints.ts'
import { checkFormat } from './event-format.ts'
import { EventListening } from './event-listening.ts'
import { EventReading, headOf } from './event-reading.ts'
import { EventRemoval } from './event-removal.ts'
import { EventScripts } from './event-scripts.ts'
import { positionOf, toArguments } from './event-wire.ts'
import { checkPrefix, type RedisConnectionOptions } from './options.ts'
import { checkServer, type Difference, verifyServer, warnOfServer } from './verify.ts'

/** 16 MiB. */
const MAX_EVENT_BYTES = 16 * 1024 * 1024
/** What the server takes as arguments of one command. */
const MOST_ARGUMENTS = 1_000_000

/** What there is while the storage runs. */
interface Running {
  readonly redis: Redis
  readonly listening: EventListening
}

/**
 * Events in Redis: each append is one script, which checks and writes all its streams, so that nothing is ever half there and
 * no reader sees a gap. Everything of one store lives in one slot of a cluster, and in memory.
 *
 * What was confirmed is as durable as the server is told to be: with `appendonly yes` and `appendfsync always` it survives a
 * power cut, with `everysec` (the usual setting) a crash of Redis, while a power cut can cost the last second; without a file
 * everything is lost with the server. `start` warns of the last, and `verify` tells of both.
 *
 * An append whose answer was lost with the connection is made again, and then answered as a repetition.
 *
 * @example
 * const storage = new RedisEventStorage({ url: 'redis://127.0.0.1:6379' })
 */
export class RedisEventStorage implements EventStorage {
  readonly name = 'redis'
  readonly checkpoints: RedisCheckpoints
  readonly capabilities: StorageCapabilities = {
    inProcess: false,
    durable: true,
    multiProcess: true,
    transactions: false,
    maxEventBytes: MAX_EVENT_BYTES,
  }

  private readonly prefix: string
  private readonly logger: BrokerLogger
  private readonly connections: Connections
  private readonly lifecycle: Lifecycle<Running>
  private readonly scripts: EventScripts
  private readonly reading: EventReading
  private readonly removal: EventRemoval

  /** @throws ConfigurationError that names the option. */
  constructor(options: RedisConnectionOptions = {}) {
    const { prefix = 'busbar', logger = standardErrorLogger } = options
    checkPrefix(prefix)
    this.prefix = prefix
    this.logger = logger
    this.connections = connectionsTo(options, logger)
    this.lifecycle = new Lifecycle(`the redis event storage of ${this.connections.where}`)
    const { where } = this.connections
    this.scripts = new EventScripts(`${prefix}:store:{${prefix}}:`, where, () => this.lifecycle.running.redis)
    this.reading = new EventReading(this.scripts)
    this.removal = new EventRemoval(this.scripts, logger)
    this.checkpoints = new RedisCheckpoints(this.scripts)
  }

  /**
   * Waits for a server that is away.
   *
   * @throws BrokerError where it refuses, StoreFormatError where what is there is newer or not Busbar's, ConfigurationError where the client
   *   is missing.
   */
  async start(): Promise<void> {
    await this.lifecycle.start((ending) => this.connections.starting(ending, () => this.open(ending)))
  }

  async append(appends: readonly Append[], options: AppendOptions = {}): Promise<readonly Appended[]> {
    this.assertRunning()
    if (options.tx !== undefined || options.inline !== undefined) {
      throw new UnsupportedError(
        "the redis event storage has no transactions: append without 'tx' and 'inline', or use SQLite or PostgreSQL",
      )
    }
    checkAppends(appends, MAX_EVENT_BYTES, this.name)
    const args = toArguments(appends)
    if (args.length > MOST_ARGUMENTS) {
      throw new AppendError('an append has more events than Redis takes in one command: give some ten thousand at most')
    }
    const reply = list(await this.scripts.run('busbarAppendEvents', args))
    if (text(reply[0]) !== 'ok') throw refusalOf(appends, reply)
    const appended = appends.map(({ stream }, index) => {
      const [revision, position, repeated] = list(reply[index + 1]).map(text)
      const isRepeated = repeated === '1'
      return { stream, revision: Number(revision), position: positionOf(position ?? ''), repeated: isRepeated }
    })
    if (appended.some(({ repeated }) => !repeated)) this.lifecycle.opened?.listening.tell()
    return appended
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<StoredEvent> {
    this.assertRunning()
    yield* this.reading.stream(stream, options)
  }

  async *readAll(options: ReadAllOptions = {}): AsyncGenerator<StoredEvent> {
    this.assertRunning()
    yield* this.reading.all(options)
  }

  async *readByCorrelation(correlationId: string): AsyncGenerator<StoredEvent> {
    this.assertRunning()
    yield* this.reading.correlated(correlationId)
  }

  async info(stream: string): Promise<StreamInfo> {
    const { scripts } = this
    const key = `${scripts.base}m:${stream}`
    const [last, first, deletedAt, by] = await scripts.again((redis) => redis.hmget(key, 'r', 'f', 'd', 'by'))
    const info = { stream, revision: Number(last ?? -1), first: Number(first ?? 0) }
    if (typeof deletedAt !== 'string') return info
    return { ...info, deletedAt: Number(deletedAt), ...(typeof by === 'string' ? { deletedBy: by } : {}) }
  }

  async head(): Promise<StoreHead> {
    const { scripts } = this
    return headOf(await scripts.again((redis) => redis.hmget(`${scripts.base}head`, 'last', 'count')))
  }

  async listen(wake: Wake): Promise<() => Promise<void>> {
    return this.lifecycle.running.listening.add(wake)
  }

  async deleteStream(stream: string, { expected = 'exists', by }: DeleteStreamOptions = {}): Promise<StreamInfo> {
    this.assertRunning()
    checkName(stream)
    await this.removal.delete(stream, expected, by)
    return this.info(stream)
  }

  async truncateBefore(stream: string, revision: number): Promise<number> {
    this.assertRunning()
    return this.removal.truncate(stream, revision)
  }

  async ping(): Promise<void> {
    const { redis } = this.lifecycle.running
    await this.connections.reach(redis, () => redis.set(`${this.prefix}:ping`, Date.now(), 'PX', 60_000))
  }

  /** What is otherwise on the server than events need it: durability, eviction. Changes nothing. */
  verify(): Promise<Difference[]> {
    return verifyServer(this.lifecycle.running.redis)
  }

  stop(): Promise<void> {
    return this.lifecycle.stop(async (running) => {
      running?.listening.stop()
      this.connections.closeAll()
    })
  }

  private async open(ending: AbortSignal): Promise<Running> {
    const { connections, logger } = this
    const redis = await connections.connect('store')
    await checkServer(redis, connections.where, this.prefix)
    await checkFormat(redis, this.scripts.base, connections.where)
    await warnOfServer(redis, connections.where, logger)
    const listening = new EventListening(connections, redis, this.scripts.base, logger)
    // Once it runs.
    setImmediate(() => void this.removal.goOn(ending))
    return { redis, listening }
  }

  private assertRunning(): void {
    void this.lifecycle.running
  }
}

/** The error for what the script `append` found. */
function refusalOf(appends: readonly Append[], [what, index, detail]: readonly Reply[]): Error {
  const append = appends[Number(index)] as Append
  const { stream, expected } = append
  switch (text(what)) {
    case 'deleted':
      return new StreamDeletedError(stream)
    case 'known':
      return new DuplicateEventError(stream, text(detail))
    default:
      return new ConcurrencyError(stream, expected, Number(text(detail)))
  }
}
