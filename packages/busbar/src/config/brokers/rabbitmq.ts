import { code, count, flagOrCode, secret, text } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'

export interface RabbitMqConfig {
  readonly type: 'rabbitmq'
  /** Settings of `RabbitMqBroker`. */
  readonly rabbitmq?: {
    /** `amqp://user:password@host:5672/vhost`, `amqps://…` for TLS, several with commas. Default `amqp://guest:guest@127.0.0.1:5672`. */
    readonly url?: string | readonly string[]
    /** Instead of the user in `url`. */
    readonly username?: string
    /** Instead of the password in `url`. */
    readonly password?: string
    /** `true`, or what `tls.connect` of Node takes: `{ ca, cert, key, servername }`. */
    readonly tls?: boolean | object
    /** First part of every queue and exchange. Default `busbar`. */
    readonly prefix?: string
    /** Default 8. */
    readonly partitions?: number
    /** Seconds. Default 10. */
    readonly heartbeat?: number
    /** Milliseconds. Default 30 000. */
    readonly connectTimeout?: number
    /** Default 8 MiB. */
    readonly maxMessageBytes?: number
    /** Options of amqplib that Busbar has no name for. */
    readonly client?: object
    readonly logger?: object
  }
}

const addresses = {
  ...secret,
  words: 'an address (amqp://host:5672) or a list of them',
  accepts: (value: unknown): boolean =>
    text.accepts(value) || (Array.isArray(value) && value.length > 0 && value.every(text.accepts)),
}

export const rabbitmq: BrokerEntry = {
  schemes: ['amqp', 'amqps'],
  example: 'amqp://127.0.0.1:5672',
  fields: {
    url: { kind: addresses, env: 'BUSBAR_RABBITMQ_URL' },
    username: { kind: text, env: 'BUSBAR_RABBITMQ_USERNAME' },
    password: { kind: secret, env: 'BUSBAR_RABBITMQ_PASSWORD' },
    tls: { kind: flagOrCode, env: 'BUSBAR_RABBITMQ_TLS' },
    prefix: { kind: text, env: 'BUSBAR_RABBITMQ_PREFIX' },
    partitions: { kind: count(1), env: 'BUSBAR_RABBITMQ_PARTITIONS' },
    heartbeat: { kind: count(1, 'seconds'), env: 'BUSBAR_RABBITMQ_HEARTBEAT' },
    connectTimeout: { kind: count(0, 'milliseconds'), env: 'BUSBAR_RABBITMQ_CONNECT_TIMEOUT' },
    maxMessageBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_RABBITMQ_MAX_MESSAGE_BYTES' },
    client: { kind: code },
    logger: { kind: code },
  },
  clientParameters: ['frameMax', 'channelMax', 'locale', 'maxFrameSize'],
  ofUrl: ({ href }) => ({ url: href }),
  async load(settings) {
    const { RabbitMqBroker } = await import('../../rabbitmq/index.ts')
    return new RabbitMqBroker(settings)
  },
}
