import type { ConnectionPool } from '@platformatic/kafka'
import { BrokerError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { shown } from './address.ts'
import { type Apis, choose, type Kafka } from './apis.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { isAuthentication, isPassing, isTls, reasonOf } from './errors.ts'
import type { Settings } from './options.ts'

/** What has been found out about the servers when the first of them answered. */
export interface Connected {
  readonly client: Kafka
  readonly apis: Apis
}

/**
 * Loads the client and connects, trying again with backoff while no server can be reached. Connections are made again by
 * themselves later on.
 *
 * @param ending Cuts the waiting short.
 * @throws BrokerError or ConfigurationError naming the setting that is wrong: at once where trying again cannot help.
 */
export async function connect(settings: Settings, ending?: AbortSignal): Promise<Connected> {
  const client = await load()
  const pool = poolOf(client, settings)
  try {
    return { client, apis: await dial(client, pool, settings, ending) }
  } finally {
    await pool.close()
  }
}

/** A pool of connections of its own: one for each server, so what waits in it holds up nobody else. */
export function poolOf(client: Kafka, settings: Settings, requestTimeout = settings.requestTimeout): ConnectionPool {
  const pool = new client.ConnectionPool(settings.clientId, {
    requestTimeout,
    // Many requests may wait for their answers at once; the server answers in turn.
    maxInflights: 1_000,
    ...settings.client,
  })
  // A connection that fails twice would end the process otherwise: who waits for an answer is told anyway.
  pool.on('connecting', ({ connection }) => connection.on('error', () => {}))
  return pool
}

async function load(): Promise<Kafka> {
  try {
    return await import('@platformatic/kafka')
  } catch (error) {
    throw new ConfigurationError('the Kafka broker needs the Kafka client: npm install @platformatic/kafka', {
      cause: error,
    })
  }
}

async function dial(
  client: Kafka,
  pool: ConnectionPool,
  settings: Settings,
  ending: AbortSignal | undefined,
): Promise<Apis> {
  const { brokers, connectTimeout } = settings
  const servers = shown(settings)
  const deadline = performance.now() + connectTimeout
  for (let failures = 1; ; failures++) {
    try {
      const connection = await pool.getFirstAvailable([...brokers])
      const { apiKeys } = await client.apiVersionsV3.api.async(connection, 'busbar', '1')
      const apis = choose(client, apiKeys)
      await apis.metadata.async(connection, [], false, false)
      return apis
    } catch (error) {
      if (error instanceof ConfigurationError) throw error
      if (isAuthentication(error)) {
        throw new BrokerError(
          `the Kafka server at ${servers} refuses these credentials (${reasonOf(error)}): check 'username', 'password' and 'mechanism'`,
          { cause: error },
        )
      }
      if (isTls(error)) {
        throw new BrokerError(
          `no TLS with the Kafka server at ${servers}: ${reasonOf(error)}; check 'tls' (or kafka:// and kafkas:// in 'brokers')`,
          {
            cause: error,
          },
        )
      }
      if (!isPassing(error))
        throw new BrokerError(`the Kafka server at ${servers} refuses: ${reasonOf(error)}`, { cause: error })
      const pause = pauseAfter(failures)
      if (performance.now() + pause > deadline) {
        throw new BrokerError(
          `the Kafka server at ${servers} could not be reached within ${connectTimeout} ms ('connectTimeout'): ` +
            `${reasonOf(error)}; check 'brokers'${hint(settings)}`,
          { cause: error },
        )
      }
      await sleep(pause, ending)
    }
  }
}

/** A server that wants TLS or credentials hangs up without a word. */
function hint({ client }: Settings): string {
  const missing = [client.tls === undefined ? `'tls'` : '', client.sasl === undefined ? `'username'` : '']
  const named = missing.filter((name) => name !== '')
  return named.length === 0 ? '' : `, and ${named.join(' and ')} where the server asks for it`
}
