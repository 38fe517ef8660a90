import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import type * as transportNode from '@nats-io/transport-node'
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import type { BrokerLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { shown } from './address.ts'
import { authentication } from './authentication.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { refusalOf, silentJetStream, unreachable } from './errors.ts'
import type { Settings } from './options.ts'
import type { MakeHeaders } from './wire.ts'

type Transport = typeof transportNode

/** Bytes that the headers of a message, its dead letter or its redelivery may need beside the body. */
export const HEADER_ROOM = 32 * 1024

/** A live connection, with what its protocol needs. */
export interface Connection {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly version: string
  /** The server schedules messages (2.12 and later). */
  readonly schedules: boolean
  /** A subject of its own for answers. */
  readonly inbox: () => string
  readonly headers: MakeHeaders
  readonly nanos: (milliseconds: number) => number
}

/**
 * Connects, trying again with backoff while the servers cannot be reached. Once connected the client reconnects for ever.
 *
 * @param ending Cuts the waiting short.
 * @throws BrokerError or ConfigurationError naming the setting that is wrong: at once where trying again cannot help.
 */
export async function connect(settings: Settings, logger: BrokerLogger, ending?: AbortSignal): Promise<Connection> {
  const [transport, jetstream] = await load()
  const nc = await dial(transport, settings, logger, ending)
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
    const { MsgHdrsImpl, nanos, createInbox } = transport
    const headers: MakeHeaders = (values = {}) => MsgHdrsImpl.fromRecord(values)
    const inbox = (): string => createInbox(settings.client.inboxPrefix)
    return { nc, js, jsm, version, schedules: atLeast(version, 2, 12), inbox, headers, nanos }
  } catch (error) {
    await nc.close()
    throw error instanceof ConfigurationError ? error : silentJetStream(error)
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

async function dial(
  transport: Transport,
  settings: Settings,
  logger: BrokerLogger,
  ending: AbortSignal | undefined,
): Promise<NatsConnection> {
  const { address, client, connectTimeout } = settings
  const options: NodeConnectionOptions = {
    servers: [...address.servers],
    name: 'busbar',
    timeout: Math.max(1_000, Math.min(5_000, connectTimeout)),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    // A connection that is dead without a word is found within half a minute, not after minutes.
    pingInterval: 10_000,
    // Without: two stack traces for every request, most of what one costs.
    noAsyncTraces: true,
    // Once connected it goes on trying: a server that has just come back may not know its users yet.
    ignoreAuthErrorAbort: true,
    ...(await authentication(transport, settings)),
    ...client,
  }
  const deadline = performance.now() + connectTimeout
  for (let failures = 1; ; failures++) {
    try {
      return await transport.connect(options)
    } catch (error) {
      const refusal = refusalOf(error as Error, settings)
      if (refusal !== undefined) throw refusal
      const pause = pauseAfter(failures)
      if (performance.now() + pause > deadline) throw unreachable(error as Error, settings)
      if (failures === 1) {
        logger.warn({ servers: shown(address), err: String(error) }, 'the NATS server cannot be reached: trying again')
      }
      await sleep(pause, ending)
    }
  }
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return first > major || (first === major && second >= minor)
}
