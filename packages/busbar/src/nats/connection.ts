import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import type { connect as natsConnect, MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { BrokerError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { Settings } from './options.ts'

/** Bytes that the headers of a message, its dead letter or its redelivery may need beside the body. */
export const HEADER_ROOM = 32 * 1024

/** A live connection, with what its protocol needs. */
export interface Connection {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  /** The server schedules messages (2.12 and later). */
  readonly schedules: boolean
  readonly headers: () => MsgHdrs
  readonly nanos: (milliseconds: number) => number
}

/**
 * Connects, trying again with backoff while the servers cannot be reached. Once connected the client reconnects for ever.
 *
 * @throws BrokerError or ConfigurationError naming the setting that is wrong: at once where trying again cannot help.
 */
export async function connect(settings: Settings): Promise<Connection> {
  const [transport, jetstream] = await load()
  const nc = await dial(transport.connect, settings)
  try {
    const { info } = nc
    const version = info?.version ?? '0'
    if (!atLeast(version, 2, 10)) {
      throw new ConfigurationError(
        `the NATS server ${version} is too old: Busbar needs 2.10 (stream metadata) or later`,
      )
    }
    if (info?.jetstream !== true) {
      throw new ConfigurationError(
        `the NATS server at ${nc.getServer()} runs without JetStream: start it with 'jetstream {}' (-js)`,
      )
    }
    if (info.max_payload < settings.maxMessageBytes + HEADER_ROOM) {
      throw new ConfigurationError(
        `option 'maxMessageBytes' is ${settings.maxMessageBytes}, and the server's max_payload of ${info.max_payload} leaves no ` +
          `${HEADER_ROOM} bytes for headers beside it: lower the one or raise the other`,
      )
    }
    const options = { timeout: settings.requestTimeout }
    const js = jetstream.jetstream(nc, options)
    const jsm = await jetstream.jetstreamManager(nc, options)
    return { nc, js, jsm, schedules: atLeast(version, 2, 12), headers: transport.headers, nanos: transport.nanos }
  } catch (error) {
    await nc.close()
    if (error instanceof ConfigurationError) throw error
    throw new BrokerError(`JetStream of the NATS server does not answer: ${String(error)}; may this account use it?`, {
      cause: error,
    })
  }
}

async function load() {
  try {
    return await Promise.all([import('@nats-io/transport-node'), import('@nats-io/jetstream')])
  } catch (error) {
    throw new ConfigurationError(
      'the NATS broker needs the NATS client: npm install @nats-io/transport-node @nats-io/jetstream',
      { cause: error },
    )
  }
}

async function dial(connectTo: typeof natsConnect, settings: Settings): Promise<NatsConnection> {
  const { servers, client, connectTimeout } = settings
  const deadline = performance.now() + connectTimeout
  for (let failures = 1; ; failures++) {
    try {
      return await connectTo({
        servers,
        name: 'busbar',
        timeout: Math.max(1_000, Math.min(5_000, connectTimeout)),
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        reconnectJitter: 250,
        ...client,
      })
    } catch (error) {
      const { name, message } = error as Error
      if (/authoriz|authentic/i.test(`${name} ${message}`)) {
        throw new BrokerError(
          `the NATS server at ${shown(servers)} refuses these credentials (${message}): check 'client.user' and 'client.pass', ` +
            `'client.token' or 'client.authenticator'`,
          { cause: error },
        )
      }
      if (/certificate|tls|ssl/i.test(message)) {
        throw new BrokerError(
          `no TLS with the NATS server at ${shown(servers)}: ${message}; check 'servers' and 'client.tls'`,
          {
            cause: error,
          },
        )
      }
      const pause = pauseAfter(failures)
      if (performance.now() + pause > deadline) {
        throw new BrokerError(
          `the NATS server at ${shown(servers)} could not be reached within ${connectTimeout} ms ('connectTimeout'): ${message}; ` +
            `check 'servers'`,
          { cause: error },
        )
      }
      await sleep(pause)
    }
  }
}

/** Without what may be a password. */
function shown(servers: readonly string[]): string {
  return servers.map((server) => server.replace(/\/\/[^@/]*@/, '//')).join(', ')
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return first > major || (first === major && second >= minor)
}
