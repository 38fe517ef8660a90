import type { Socket } from 'node:net'
import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib'
import { BrokerError } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { atMost, inTime, pauseAfter, sleep } from './backoff.ts'
import { agreed, ANSWER, GOODBYE, timely } from './channels.ts'
import { isHopeless, refusal } from './errors.ts'
import type { Settings } from './options.ts'

/** Bytes to be sent that a channel takes before it asks to wait: the client's 16 KiB would cut a batch of 100 into pieces. */
const IN_MEMORY = 1024 * 1024
/** The client hands it on to Node. */
const SOCKET = { writableHighWaterMark: IN_MEMORY }
/** Milliseconds for one try to connect. */
const ONE_TRY = 10_000
/**
 * A connection that comes back by itself, for ever, with backoff. What was made on it (channels, consumers, exclusive queues) is gone
 * then: whoever made it listens to `onUp` and makes it again. The client's own recovery is not used, because it would bring consumers
 * back without telling that what they had in hand is not theirs any more.
 */
export class Link {
  /** Called after each reconnect. */
  readonly onUp = new Set<() => void>()
  /** Called when the connection is lost. */
  readonly onDown = new Set<() => void>()
  /** The server takes no messages (memory or disk alarm); this is why. */
  blocked: string | undefined
  /** Called when it takes messages again. */
  readonly onUnblocked = new Set<() => void>()

  private readonly settings: Settings
  private readonly purpose: string
  private readonly logger: BrokerLogger
  private model: ChannelModel | undefined
  private up = Promise.withResolvers<ChannelModel>()
  private gathering: ChannelModel | undefined
  private readonly leaving = new Set<() => void>()
  private closed = false
  private next = 0

  constructor(settings: Settings, purpose: string, logger: BrokerLogger) {
    this.settings = settings
    this.purpose = purpose
    this.logger = logger
    this.up.promise.catch(() => {})
  }

  /** @throws BrokerError or ConfigurationError naming the setting: at once where waiting does not help, else after `connectTimeout` */
  async open(ending?: AbortSignal): Promise<void> {
    const deadline = performance.now() + this.settings.connectTimeout
    for (let failures = 1; ; failures++) {
      const server = this.settings.servers[this.next]
      try {
        return this.take(await this.dial())
      } catch (error) {
        const pause = pauseAfter(failures)
        const last = this.closed || performance.now() + pause > deadline
        if (last || isHopeless(error)) throw refusal(error, server?.shown ?? '')
        await sleep(pause, ending)
      }
    }
  }

  /** It was closed, and will not be there again. */
  get isOver(): boolean {
    return this.closed
  }

  get isUp(): boolean {
    return this.model !== undefined
  }

  /** Resolves once there is a connection; rejects when the link is closed. */
  ready(): Promise<ChannelModel> {
    return this.model === undefined ? this.up.promise : Promise.resolve(this.model)
  }

  /**
   * A channel that is open when this resolves. Its errors are told by its own promises and its `close` event, and end nothing else. What it
   * asks is answered, or refused after 15 seconds, and then the channel is closed too.
   */
  channel(): Promise<Channel> {
    return this.make((model) => model.createChannel())
  }

  confirmChannel(): Promise<ConfirmChannel> {
    return this.make((model) => model.createConfirmChannel({ highWaterMark: IN_MEMORY }))
  }

  /**
   * What is published in this turn of the event loop leaves together: the client writes each message by itself, which costs both sides a
   * system call for each. `left` is called, once, when it has left. False: there is no connection that it could leave by.
   */
  gather(left: () => void): boolean {
    const { model } = this
    if (model === undefined) return false
    this.leaving.add(left)
    if (this.gathering === model) return true
    this.gathering = model
    const socket = socketOf(model)
    socket?.cork()
    const leave = (): void => {
      this.gathering = undefined
      socket?.uncork()
      const all = [...this.leaving]
      this.leaving.clear()
      for (const told of all) told()
    }
    // The client asks for its own turn in the next tick.
    process.nextTick(() => process.nextTick(setImmediate, leave))
    return true
  }

  /** Gives the connection up as if it had broken, because the server lives and does not do what it should. `why` goes to the log. */
  drop(why: string): void {
    const { model } = this
    if (model === undefined) return
    this.logger.error({ err: why }, `the connection to RabbitMQ (${this.purpose}) is of no use: connecting anew`)
    sever(model)
    this.lose(model, new BrokerError(why))
  }

  async close(): Promise<void> {
    this.closed = true
    const { model } = this
    this.model = undefined
    const stopped = new BrokerError('the RabbitMQ broker was stopped')
    this.up.reject(stopped)
    // It may have been resolved before.
    this.up = Promise.withResolvers()
    this.up.promise.catch(() => {})
    this.up.reject(stopped)
    if (model === undefined) return
    await atMost(GOODBYE, agreed(model))
    // One that nobody ends would go on to show the server that we live, with all that it has handed to us.
    sever(model)
  }

  private async make<C extends Channel>(create: (model: ChannelModel) => Promise<C>): Promise<C> {
    const model = await this.ready()
    let channel: C
    try {
      channel = await inTime(ANSWER, create(model), 'the RabbitMQ server opens no channel')
    } catch (error) {
      // It ended before anybody listened to it, or it is as good as ended.
      const isUseless = error instanceof BrokerError || (error as Error).name === 'IllegalOperationError'
      if (isUseless && this.model === model) this.drop(String(error))
      throw error
    }
    // It may have ended with its connection before this went on: then its `close` event was for nobody.
    if (this.model !== model) throw new BrokerError('the connection to RabbitMQ was lost')
    channel.on('error', () => {})
    channel.on('handler-error', (error) =>
      this.logger.error({ err: error.message }, 'RabbitMQ: what the server sent could not be taken'),
    )
    return timely(channel)
  }

  private async dial(): Promise<ChannelModel> {
    const { connect } = await loadClient()
    const { servers, client, prefix } = this.settings
    const server = servers[this.next]
    // Another node of the cluster next time.
    this.next = (this.next + 1) % servers.length
    const clientProperties = { connection_name: `busbar ${prefix} ${this.purpose}`, ...client.clientProperties }
    const model = await connect(server?.url ?? '', {
      noDelay: true,
      keepAlive: true,
      timeout: ONE_TRY,
      ...SOCKET,
      ...client,
      clientProperties,
    })
    // An error is followed by close, which is handled.
    model.on('error', () => {})
    model.on('handler-error', (error) =>
      this.logger.error({ err: String(error) }, 'RabbitMQ: an event could not be handled'),
    )
    try {
      assertNewEnough(model)
    } catch (error) {
      await atMost(GOODBYE, agreed(model))
      sever(model)
      throw error
    }
    return model
  }

  private take(model: ChannelModel): void {
    if (this.closed) return void model.close().catch(() => {})
    this.model = model
    model.on('close', (error?: Error) => this.lose(model, error))
    model.on('blocked', (reason) => {
      this.blocked = reason
      this.logger.warn(
        { reason },
        'the RabbitMQ server takes no messages (an alarm for memory or disk): publishes wait',
      )
    })
    model.on('unblocked', () => this.unblock())
    this.up.resolve(model)
  }

  private unblock(): void {
    this.blocked = undefined
    for (const tell of this.onUnblocked) tell()
  }

  private lose(model: ChannelModel, error: Error | undefined): void {
    if (this.model !== model) return
    this.model = undefined
    this.up = Promise.withResolvers()
    this.up.promise.catch(() => {})
    this.blocked = undefined
    for (const tell of this.onDown) tell()
    if (this.closed) return
    this.logger.warn({ err: error?.message }, `the connection to RabbitMQ (${this.purpose}) is lost: reconnecting`)
    void this.comeBack()
  }

  private async comeBack(): Promise<void> {
    let told = ''
    for (let failures = 1; !this.closed; failures++) {
      await sleep(pauseAfter(failures))
      if (this.closed) return
      try {
        this.take(await this.dial())
        for (const tell of this.onUp) tell()
        return
      } catch (error) {
        const { message } = refusal(error, this.settings.servers[0]?.shown ?? '')
        if (message !== told) this.logger.warn({ err: message }, 'no connection to RabbitMQ: trying again')
        told = message
      }
    }
  }
}

/** Ends its socket. The client has no other way to end a connection than by asking the server. */
function sever(model: ChannelModel): void {
  socketOf(model)?.destroy(new Error('given up'))
}

/** The client keeps it to itself. */
function socketOf({ connection }: ChannelModel): Socket | undefined {
  return (connection as unknown as { readonly stream?: Socket }).stream
}

async function loadClient() {
  try {
    return await import('amqplib')
  } catch (error) {
    throw new ConfigurationError('the RabbitMQ broker needs the package amqplib: run npm install amqplib@2', {
      cause: error,
    })
  }
}

/** 3.10 is the first whose quorum queues hand dead letters on without losing any. */
function assertNewEnough({ connection }: ChannelModel): void {
  const { product, version } = connection.serverProperties as { readonly product?: string; readonly version?: string }
  const [major = 0, minor = 0] = (version ?? '').split('.').map((text) => Number.parseInt(text, 10))
  if (product !== 'RabbitMQ' || major > 3 || (major === 3 && minor >= 10)) return
  throw new ConfigurationError(
    `the RabbitMQ server ${version} is too old: Busbar needs 3.10 or later (quorum queues that hand messages on without loss)`,
  )
}
