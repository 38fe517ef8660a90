import { readFile } from 'node:fs/promises'
import type * as transport from '@nats-io/transport-node'
import { ConfigurationError } from '../message/errors.ts'
import type { Settings } from './options.ts'

type Client = typeof transport

/**
 * What the client is told about who we are, and whether the connection has to be encrypted.
 *
 * @throws ConfigurationError where a file cannot be read or a seed is none; secrets are not shown.
 */
export async function authentication(
  client: Client,
  { address, auth }: Settings,
): Promise<transport.NodeConnectionOptions> {
  const { user = address.user, password = address.password, token = address.token } = auth
  const { credentials, nkey, tls = address.tls } = auth
  const options: transport.NodeConnectionOptions = {}
  // An empty object is enough: the client then refuses a server that has no TLS.
  if (tls !== undefined && tls !== false) options.tls = tls === true ? {} : tls
  if (credentials !== undefined) {
    options.authenticator = client.credsAuthenticator(await credentialsIn(credentials))
  } else if (nkey !== undefined) {
    options.authenticator = client.nkeyAuthenticator(seed(client, nkey))
  } else if (token !== undefined) options.token = token
  else if (user !== undefined) {
    options.user = user
    if (password !== undefined) options.pass = password
  }
  return options
}

async function credentialsIn(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    throw new ConfigurationError(
      `option 'credentials': ${(error as Error).message}; name a .creds file of a NATS user`,
      {
        cause: error,
      },
    )
  }
}

function seed({ nkeys }: Client, text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  try {
    nkeys.fromSeed(bytes)
  } catch {
    throw new ConfigurationError(`option 'nkey' is not the seed of a user (SU…)`)
  }
  return bytes
}
