import type { Command, Redis, RedisOptions } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { addressOf, whereOf } from './address.ts'
import type { RedisConnectionOptions } from './options.ts'
import { scripts } from './scripts/index.ts'
import { failUnanswered, refusePlain, refuseUnanswered } from './unanswered.ts'

export type Reply = null | number | string | Buffer | readonly Reply[]

/** Milliseconds; longest pause between two tries to connect. */
const LONGEST = 2_000

/** Answers by which a server says that waiting does not help. */
const HOPELESS =
  /WRONGPASS|NOAUTH|NOPERM|DB index|invalid password|ENOTFOUND|CERT|certificate|self.signed|wrong version number|packet length/i
/** Milliseconds without an answer after which a connection is taken for dead: a half-open one never breaks by itself. */
const SILENCE = 30_000

/** Opens connections to one server. A server that is away only delays: commands wait until it is back. */
export class Connections {
  private readonly options: RedisConnectionOptions
  private readonly logger: BrokerLogger
  /** With what ends all that has no answer yet. */
  private readonly open = new Map<Redis, () => void>()
  private ending = false
  /** The server without its password, for people. */
  readonly where: string

  /** @throws ConfigurationError where the options name no server. */
  constructor(options: RedisConnectionOptions, logger: BrokerLogger) {
    this.options = options
    this.logger = logger
    this.where = whereOf(options)
  }

  /**
   * A connection that answers. Waits for a server that is away. When it breaks, commands without an answer fail with
   * `ConnectionCutError`, because what they may have done has to be looked at.
   *
   * @param blocks Milliseconds that an answer may take beyond the usual: a blocking read's own.
   * @throws BrokerError where the server refuses for a reason that will not go away by itself.
   */
  async connect(name: string, blocks = 0): Promise<Redis> {
    const { Redis: Client } = await loadClient()
    const address = addressOf(this.options)
    const options = {
      ...address,
      // Replies of streams as lists, whatever the server speaks.
      protocol: 2 as const,
      replyMapping: 'legacy' as const,
      connectionName: this.options.client?.connectionName ?? `busbar:${name}`,
      lazyConnect: true,
      // A command waits for the server instead of failing after some tries.
      maxRetriesPerRequest: null,
      socketTimeout: (address.socketTimeout ?? SILENCE) + blocks,
      enableAutoPipelining: false,
      autoResendUnfulfilledCommands: false,
      scripts,
      retryStrategy: (tries: number) =>
        this.ending ? null : Math.min(LONGEST, 25 * 2 ** Math.min(tries, 7)) * jitter(),
    } satisfies RedisOptions
    const redis: Redis = new Client(options)
    this.open.set(redis, failUnanswered(redis))
    const refused = Promise.withResolvers<never>()
    refused.promise.catch(() => {})
    let told = ''
    redis.on('error', (error: Error) => {
      if (HOPELESS.test(error.message)) refused.reject(this.refusal(error))
      if (this.ending || told === error.message) return
      told = error.message
      this.logger.warn({ server: this.where, err: error.message }, 'no connection to Redis: trying again')
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
      throw new BrokerError(`the Redis server ${this.where} cannot be reached or written to: ${reason}`, {
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
    return new BrokerError(
      `cannot use the Redis server ${this.where}: ${error.message}. Check url or host, port, username, password, db ` +
        `and tls (rediss:// for TLS)`,
      { cause: error },
    )
  }
}

const jitter = (): number => 0.5 + Math.random() / 2

/** The package of the client, loaded when it is needed. @throws ConfigurationError where it is missing */
export async function loadClient(): Promise<{ readonly Redis: typeof Redis; readonly Command: typeof Command }> {
  try {
    return await import('ioredis')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigurationError('the Redis brokers need the package ioredis: run npm install ioredis@6', {
      cause: error,
    })
  }
}

/** Runs one of the scripts; replies come as buffers. The first argument is the number of keys of `scripts/index.ts`. */
export function run(
  redis: Redis,
  script: keyof typeof scripts,
  args: readonly (string | number | Buffer)[],
): Promise<Reply> {
  const commands = redis as unknown as Record<
    string,
    (...args: readonly (string | number | Buffer)[]) => Promise<Reply>
  >
  return (commands[`${script}Buffer`] as (typeof commands)[string]).apply(redis, args as never)
}

/** The same with one key and arguments so many that they cannot be those of a function. */
export function runWith(
  redis: Redis,
  script: keyof typeof scripts,
  key: string,
  args: readonly (string | Buffer)[],
): Promise<Reply> {
  const commands = redis as unknown as Record<
    string,
    (key: string, args: readonly (string | Buffer)[]) => Promise<Reply>
  >
  return (commands[`${script}Buffer`] as (typeof commands)[string]).call(redis, key, args)
}

export function text(reply: Reply | undefined): string {
  return reply instanceof Buffer ? reply.toString('utf8') : String(reply ?? '')
}

export function list(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : []
}
