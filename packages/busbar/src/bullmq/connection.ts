import { connect } from 'node:net'
import type * as BullMq from 'bullmq'
import type * as IoRedis from 'ioredis'
import type { Redis, RedisOptions } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Settings } from './options.ts'
import { scripts } from './scripts.ts'

/** What was loaded of the client's packages. */
export interface Clients {
  readonly bullmq: typeof BullMq
  readonly Redis: typeof Redis
}

/** Milliseconds; longest pause between two tries to connect. */
const LONGEST = 2_000
/** So many connections that end before the first answer, and none that lasted, are no accident. */
const MOST_UNANSWERED = 12

/** Answers by which a server says that waiting does not help. */
const HOPELESS =
  /WRONGPASS|NOAUTH|NOPERM|DB index|invalid password|ENOTFOUND|CERT|certificate|self.signed|wrong version number|packet length/i

/** Milliseconds without an answer after which a connection is taken for dead: a half-open one never breaks by itself. */
const SILENCE = 30_000

export interface Connecting {
  /**
   * What was sent and not answered when the connection broke is sent again, in order. Without it those commands fail, because
   * what they may have done has to be looked at.
   */
  readonly resend?: boolean
  /** Commands of one turn of the event loop are written together. */
  readonly together?: boolean
  /** Milliseconds that an answer may take beyond the usual: a blocking read's own. Default 0. */
  readonly blocks?: number
}

/** Opens connections to one server. A server that is away only delays: commands wait until it is back. */
export class Connections {
  private readonly settings: Settings
  /** With what fails their commands. */
  private readonly open = new Map<Redis, () => void>()
  private clients: Clients | undefined
  private ending = false

  constructor(settings: Settings) {
    this.settings = settings
  }

  /** The server without user and password, for people. */
  get where(): string {
    const { url, client } = this.settings
    if (client.path !== undefined) return client.path
    if (client.host !== undefined) return `${client.host}:${client.port ?? 6379}`
    return url.replace(/\/\/[^/]*@/, '//').replace(/\?.*$/, '')
  }

  /** @throws ConfigurationError where a package is missing. */
  async load(): Promise<Clients> {
    this.clients ??= { bullmq: await packageOf('bullmq@6'), Redis: (await packageOf('ioredis@6')).Redis }
    return this.clients
  }

  /**
   * A connection that answers. Waits for a server that is away.
   * @throws BrokerError where the server refuses for a reason that will not go away by itself.
   */
  async connect(name: string, { resend = false, together = false, blocks = 0 }: Connecting = {}): Promise<Redis> {
    const { Redis: Client } = await this.load()
    if (this.ending) throw new BrokerError(`the connection to ${this.where} was stopped before it was there`)
    const { client, url, logger } = this.settings
    const redis: Redis = new Client(url, {
      ...client,
      // What BullMQ reads, whatever the server speaks.
      protocol: 2 as const,
      replyMapping: 'legacy' as const,
      connectionName: client.connectionName ?? `busbar:${name}`,
      lazyConnect: true,
      // A command waits for the server instead of failing after some tries.
      maxRetriesPerRequest: null,
      socketTimeout: (client.socketTimeout ?? SILENCE) + blocks,
      enableAutoPipelining: false,
      autoResendUnfulfilledCommands: resend,
      scripts,
      retryStrategy: (tries: number) =>
        this.ending ? null : Math.min(LONGEST, 25 * 2 ** Math.min(tries, 7)) * (0.5 + Math.random() / 2),
    } satisfies RedisOptions)
    this.open.set(redis, failUnanswered(redis, resend))
    if (together) writeTogether(redis)
    const refused = Promise.withResolvers<never>()
    refused.promise.catch(() => {})
    let told = ''
    redis.on('error', (error: Error) => {
      if (HOPELESS.test(error.message)) refused.reject(this.refusal(error))
      if (this.ending || told === error.message) return
      told = error.message
      logger.warn({ server: this.where, err: error.message }, 'no connection to the Redis of BullMQ: trying again')
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
      `cannot use the Redis server ${this.where} for BullMQ: ${error.message}. Check url (host, user, password, /db; ` +
        'bullmqs:// or rediss:// for TLS) or client (host, username, password, db, tls)',
      { cause: error },
    )
  }
}

/** A server that takes connections and ends them without an answer wants something else, mostly TLS. */
function refuseUnanswered(redis: Redis, refuse: (error: Error) => void): void {
  let unanswered = 0
  let connected = false
  let answered = false
  redis.on('connect', () => (connected = true))
  redis.on('ready', () => (answered = true))
  redis.on('close', () => {
    if (connected && !answered) unanswered++
    connected = false
    if (unanswered === MOST_UNANSWERED) {
      refuse(new Error('it ends every connection without an answer, as a server does that wants TLS'))
    }
  })
}

/** A server without TLS takes the beginning of TLS for a command that goes on, and says nothing: it is asked without. */
function refusePlain(redis: Redis, refuse: (error: Error) => void): void {
  const { tls, host = '127.0.0.1', port = 6379 } = redis.options
  if (tls === undefined) return
  redis.on('error', (error: Error) => {
    if (!error.message.includes('ETIMEDOUT')) return
    const socket = connect({ host, port }, () => socket.write('PING\r\n'))
    socket.setTimeout(1_000, () => socket.destroy())
    socket.on('error', () => {})
    socket.once('data', (answer) => {
      socket.destroy()
      if (/^[+-]/.test(String(answer))) refuse(new Error('it talks without TLS, and not with it'))
    })
  })
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

type Command = Parameters<Redis['sendCommand']>[0]

/**
 * The client forgets commands that have no answer when a connection breaks (unless it sends them again), and those that wait
 * to be sent when it is told to disconnect while it is away; and their promises with them. Here they fail.
 *
 * @returns what ends all that has no answer yet.
 */
function failUnanswered(redis: Redis, resend: boolean): () => void {
  const waiting = new Set<Command>()
  const sent = new Set<Command>()
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (command, stream) => {
    const pending = redis.status === 'ready' ? sent : waiting
    pending.add(command)
    const done = (): void => void pending.delete(command)
    command.promise.then(done, done)
    return send(command, stream)
  }
  const fail = (commands: Set<Command>, why: string): void => {
    for (const command of commands) command.reject(new Error(why))
    commands.clear()
  }
  redis.on('close', () => {
    if (!resend) fail(sent, 'the connection to Redis broke before the answer came')
  })
  return () => {
    fail(sent, 'the connection to Redis was closed before the answer came')
    fail(waiting, 'the connection to Redis was closed before this could be sent')
  }
}

function packageOf(name: 'bullmq@6'): Promise<typeof BullMq>
function packageOf(name: 'ioredis@6'): Promise<typeof IoRedis>
async function packageOf(name: string): Promise<object> {
  try {
    return name === 'bullmq@6' ? await import('bullmq') : await import('ioredis')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigurationError(
      `the BullMQ broker needs the package ${name.split('@')[0]}: run npm install bullmq@6 ioredis@6`,
      { cause: error },
    )
  }
}
