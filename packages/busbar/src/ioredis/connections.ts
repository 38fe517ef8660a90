import type { Command, Redis, RedisOptions } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { failUnanswered, refusePlain, refuseUnanswered } from './unanswered.ts'

/** Milliseconds; longest pause between two tries to connect. */
const LONGEST = 2_000

/** Answers by which a server says that waiting does not help. */
const HOPELESS =
  /WRONGPASS|NOAUTH|NOPERM|DB index|invalid password|ENOTFOUND|CERT|certificate|self.signed|wrong version number|packet length/i
/** Milliseconds without an answer after which a connection is taken for dead: a half-open one never breaks by itself. */
const SILENCE = 30_000

/** One server, and how it is called in what people read. */
export interface Server {
  readonly address: RedisOptions
  /** Without its password. */
  readonly where: string
  readonly logger: BrokerLogger
  readonly scripts: NonNullable<RedisOptions['scripts']>
  readonly words: {
    /** `the … brokers need` */
    readonly adapter: string
    /** `the Redis server` */
    readonly server: string
    /** Settings that name the server. */
    readonly check: string
  }
}

export interface Connecting {
  /**
   * What was sent and not answered when the connection broke is sent again, in order. Default false: those commands fail with
   * `ConnectionCutError`, because what they may have done has to be looked at.
   */
  readonly resend?: boolean
  /** Commands of one turn of the event loop are written together. Default false. */
  readonly together?: boolean
  /** Milliseconds that an answer may take beyond the usual: a blocking read's own. Default 0. */
  readonly blocks?: number
}

/** Opens connections to one server. A server that is away only delays: commands wait until it is back. */
export class Connections {
  /** The server without its password, for people. */
  readonly where: string
  private readonly server: Server
  /** With what ends all that has no answer yet. */
  private readonly open = new Map<Redis, () => void>()
  private ending = false

  constructor(server: Server) {
    this.server = server
    this.where = server.where
  }

  /** What a start opens is closed again where it fails, and at once where it is ended before it is there. */
  async starting<T>(ending: AbortSignal, open: () => Promise<T>): Promise<T> {
    const end = (): void => this.closeAll()
    ending.addEventListener('abort', end)
    try {
      return await open()
    } catch (error) {
      this.drop()
      throw error
    } finally {
      ending.removeEventListener('abort', end)
    }
  }

  /**
   * A connection that answers. Waits for a server that is away.
   * @throws BrokerError where the server refuses for a reason that will not go away by itself.
   */
  async connect(name: string, { resend = false, together = false, blocks = 0 }: Connecting = {}): Promise<Redis> {
    const { address, scripts, logger, words } = this.server
    const { Redis: Client } = await loadClient(words.adapter)
    if (this.ending) throw new BrokerError(`the connection to ${this.where} was stopped before it was there`)
    const options = {
      ...address,
      // Replies of streams as lists, and as BullMQ reads them, whatever the server speaks.
      protocol: 2 as const,
      replyMapping: 'legacy' as const,
      connectionName: address.connectionName ?? `busbar:${name}`,
      lazyConnect: true,
      // A command waits for the server instead of failing after some tries.
      maxRetriesPerRequest: null,
      socketTimeout: (address.socketTimeout ?? SILENCE) + blocks,
      enableAutoPipelining: false,
      autoResendUnfulfilledCommands: resend,
      scripts,
      retryStrategy: (tries: number) =>
        this.ending ? null : Math.min(LONGEST, 25 * 2 ** Math.min(tries, 7)) * jitter(),
    } satisfies RedisOptions
    const redis: Redis = new Client(options)
    this.open.set(redis, failUnanswered(redis, resend))
    if (together) writeTogether(redis)
    const refused = Promise.withResolvers<never>()
    refused.promise.catch(() => {})
    let told = ''
    redis.on('error', (error: Error) => {
      if (HOPELESS.test(error.message)) refused.reject(this.refusal(error))
      if (this.ending || told === error.message) return
      told = error.message
      logger.warn({ server: this.where, err: error.message }, 'no connection to Redis: trying again')
    })
    redis.on('ready', () => (told = ''))
    refuseUnanswered(redis, (error) => refused.reject(this.refusal(error)))
    refusePlain(redis, (error) => refused.reject(this.refusal(error)))
    redis.connect().catch(() => {})
    try {
      await Promise.race([redis.ping(), refused.promise])
    } catch (error) {
      this.close(redis)
      throw error instanceof BrokerError ? error : this.refusal(error as Error)
    }
    return redis
  }

  /** A command that does not wait for a server that is away. @throws BrokerError with the reason */
  async reach(redis: Redis, command: () => Promise<unknown>): Promise<void> {
    try {
      if (redis.status !== 'ready') throw new Error('there is no connection, and a new one is being tried')
      await command()
    } catch (error) {
      const reason = (error as Error).message
      throw new BrokerError(`${this.server.words.server} ${this.where} cannot be reached or written to: ${reason}`, {
        cause: error,
      })
    }
  }

  close(redis: Redis): void {
    const fail = this.open.get(redis)
    this.open.delete(redis)
    redis.disconnect()
    fail?.()
  }

  /** Closes what is open; more can be opened. */
  drop(): void {
    for (const redis of this.open.keys()) this.close(redis)
  }

  closeAll(): void {
    this.ending = true
    this.drop()
  }

  private refusal(error: Error): BrokerError {
    const { server, check } = this.server.words
    return new BrokerError(`cannot use ${server} ${this.where}: ${error.message}. Check ${check}`, { cause: error })
  }
}

const jitter = (): number => 0.5 + Math.random() / 2

/** The package of the client, loaded when it is needed. @throws ConfigurationError where it is missing */
export async function loadClient(
  adapter: string,
): Promise<{ readonly Redis: typeof Redis; readonly Command: typeof Command }> {
  try {
    return await import('ioredis')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigurationError(`${adapter} the package ioredis: run npm install ioredis@6`, {
      cause: error,
    })
  }
}

/** What is sent in one turn is one write: without the delay of the client's own pipelining, and with nearly all of its gain. */
function writeTogether(redis: Redis): void {
  const send = redis.sendCommand.bind(redis)
  let corked: Redis['stream'] | undefined
  redis.sendCommand = (command, pipeline) => {
    const { stream } = redis
    if (corked !== stream && redis.status === 'ready') {
      corked = stream
      stream.cork()
      process.nextTick(() => {
        corked = undefined
        stream.uncork()
      })
    }
    return send(command, pipeline)
  }
}
