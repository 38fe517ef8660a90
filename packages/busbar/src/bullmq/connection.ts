import type * as BullMq from 'bullmq'
import { addressOf, whereOf } from '../ioredis/address.ts'
import { Connections } from '../ioredis/connections.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Settings } from './options.ts'
import { scripts } from './scripts.ts'

/** @throws ConfigurationError where the settings name no server. */
export function connectionsTo(settings: Settings): Connections {
  return new Connections({
    address: addressOf(settings),
    where: whereOf(settings),
    logger: settings.logger,
    scripts,
    words: {
      adapter: 'the BullMQ broker needs',
      server: 'the Redis server of BullMQ',
      check:
        'url (host, user, password, /db; bullmqs:// or rediss:// for TLS) or client (host, username, password, db, tls)',
    },
  })
}

/** The package of BullMQ, loaded when it is needed. @throws ConfigurationError where it is missing */
export async function loadBullMq(): Promise<typeof BullMq> {
  try {
    return await import('bullmq')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigurationError('the BullMQ broker needs the package bullmq: run npm install bullmq@6 ioredis@6', {
      cause: error,
    })
  }
}
