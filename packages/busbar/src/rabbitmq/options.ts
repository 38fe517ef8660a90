import type { ConnectionOptions } from 'node:tls'
import type { SocketOptions } from 'amqplib'
import type { BrokerLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'

export interface RabbitMqBrokerOptions {
  /**
   * `amqp://user:password@host:5672/vhost`, `amqps://…` for TLS, or the URLs of several nodes of a cluster.
   * Default: `amqp://guest:guest@127.0.0.1:5672`.
   */
  readonly url?: string | readonly string[]
  /** Instead of the user in `url`. */
  readonly username?: string
  /** Instead of the password in `url`. */
  readonly password?: string
  /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. Default: as the URL says. */
  readonly tls?: boolean | ConnectionOptions
  /** Handed to amqplib as it is, and wins over what stands here: `credentials`, `clientProperties`, `keepAliveDelay` … */
  readonly client?: SocketOptions
  /** Begin of the name of every queue and exchange of this deployment: letters, digits, `_`, `-` and `.`. Default: `busbar`. */
  readonly prefix?: string
  /**
   * Partitions of a topic that is made by this broker: how many members of one group can share it. A topic keeps the number
   * that it was made with. Each group has a quorum queue for each partition. 1 to 1,000, default: 8.
   */
  readonly partitions?: number
  /** Seconds without a sign of life after which server and client give each other up. Whole, 1 or more; default: 10. */
  readonly heartbeat?: number
  /**
   * Milliseconds for which `start` tries to reach the server, and for which a publish waits for one that is away, or that lives and does not
   * confirm (then at least 10 seconds). Default: 30,000.
   */
  readonly connectTimeout?: number
  /** Largest body in bytes; the server's own `max_message_size` may be lower. Default: 8 MiB. */
  readonly maxMessageBytes?: number
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** The options with their defaults. @throws ConfigurationError naming the option that is wrong */
export function complete(options: RabbitMqBrokerOptions) {
  const { prefix = 'busbar', partitions = 8, heartbeat = 10, client = {} } = options
  const { connectTimeout = 30_000, maxMessageBytes = 8 * 1024 * 1024, tls } = options
  if (!/^[A-Za-z0-9_.-]{1,60}$/.test(prefix) || prefix.startsWith('amq.')) {
    throw new ConfigurationError(
      `option 'prefix' must be 1 to 60 letters, digits, '_', '-' and '.', and not begin with 'amq.': '${prefix}' is not`,
    )
  }
  whole('partitions', partitions, 1, 1_000)
  whole('heartbeat', heartbeat, 1, 3_600, ' of seconds')
  if (!(connectTimeout >= 0)) {
    throw new ConfigurationError(`option 'connectTimeout' must be 0 or more milliseconds, not ${connectTimeout}`)
  }
  whole('maxMessageBytes', maxMessageBytes, 1, 512 * 1024 * 1024, ' of bytes')
  return {
    servers: serversOf(options),
    client: socketOptions(tls, client),
    prefix,
    partitions,
    heartbeat,
    connectTimeout,
    maxMessageBytes,
  }
}

function socketOptions(tls: RabbitMqBrokerOptions['tls'], client: SocketOptions): SocketOptions {
  return typeof tls === 'object' ? ({ ...tls, ...client } as SocketOptions) : client
}

export type Settings = ReturnType<typeof complete>

/** A server's URL with what the client reads of it, and how people may see it. */
export interface ServerAddress {
  readonly url: string
  /** Without user and password. */
  readonly shown: string
}

function serversOf(options: RabbitMqBrokerOptions): readonly ServerAddress[] {
  const { url = 'amqp://guest:guest@127.0.0.1:5672', heartbeat = 10, username, password, tls = false } = options
  const urls = typeof url === 'string' ? url.split(',') : url
  if (urls.length === 0) throw new ConfigurationError(`option 'url' names no server`)
  return urls.map((one) => {
    // The text itself is never shown: it may hold a password.
    if (!URL.canParse(one) || !/^amqps?:\/\/[^/]/.test(one)) {
      throw new ConfigurationError(`option 'url' must be amqp://user:password@host:port/vhost or amqps://…`)
    }
    const parsed = new URL(tls === false ? one : one.replace(/^amqp:/, 'amqps:'))
    if (username !== undefined) parsed.username = encodeURIComponent(username)
    if (password !== undefined) parsed.password = encodeURIComponent(password)
    if (!parsed.searchParams.has('heartbeat')) parsed.searchParams.set('heartbeat', String(heartbeat))
    const vhost = parsed.pathname === '/' ? '' : parsed.pathname
    return { url: parsed.href, shown: `${parsed.protocol}//${parsed.host}${vhost}` }
  })
}

function whole(name: string, value: number, least: number, most: number, unit = ''): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return
  throw new ConfigurationError(`option '${name}' must be a whole number${unit} from ${least} to ${most}, not ${value}`)
}
