import type { Redis } from 'ioredis'
import type { BrokerLogger } from '../broker/logger.ts'
import { addressOf, whereOf } from '../ioredis/address.ts'
import { Connections } from '../ioredis/connections.ts'
import type { RedisConnectionOptions } from './options.ts'
import { scripts } from './scripts/index.ts'

export type Reply = null | number | string | Buffer | readonly Reply[]

/** @throws ConfigurationError where the options name no server. */
export function connectionsTo(options: RedisConnectionOptions, logger: BrokerLogger): Connections {
  return new Connections({
    address: addressOf(options),
    where: whereOf(options),
    logger,
    scripts,
    words: {
      adapter: 'the Redis brokers need',
      server: 'the Redis server',
      check: 'url or host, port, username, password, db and tls (rediss:// for TLS)',
    },
  })
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
