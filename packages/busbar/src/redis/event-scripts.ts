import type { Redis } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import { ConnectionCutError } from '../ioredis/unanswered.ts'
import { type Reply, runWith } from './connection.ts'
import type { scripts } from './scripts/index.ts'

/** Asks the server by scripts, each of which may be run twice: so one whose answer was lost with its connection is run again. */
export class EventScripts {
  /** What all keys of the store begin with. */
  readonly base: string
  /** The server without its password, for people. */
  readonly where: string
  private readonly connected: () => Redis

  /** @param connected Throws where the storage does not run. */
  constructor(base: string, where: string, connected: () => Redis) {
    this.base = base
    this.where = where
    this.connected = connected
  }

  /** @throws BrokerError with what the server says. */
  async run(script: keyof typeof scripts, args: readonly (string | Buffer)[]): Promise<Reply> {
    return this.again((redis) => runWith(redis, script, this.base, args))
  }

  /** A command that may be run twice. @throws BrokerError with what the server says. */
  async again<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await command(this.connected())
      } catch (error) {
        if (error instanceof ConnectionCutError) continue
        throw error instanceof BrokerError ? error : this.refusal(error as Error)
      }
    }
  }

  private refusal(error: Error): BrokerError {
    return new BrokerError(`the Redis server ${this.where} refused what the event store asked: ${error.message}`, {
      cause: error,
    })
  }
}
