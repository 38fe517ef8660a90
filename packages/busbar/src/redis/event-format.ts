import type { Redis } from 'ioredis'
import { BrokerError } from '../broker/index.ts'

/** Raised with every change after which an older Busbar would read or write events wrongly. */
const FORMAT = 1

/**
 * What is in Redis under the prefix is no event store that this Busbar can work with: a newer Busbar's, or something else. Nothing was
 * changed. The text says which, and what to do.
 */
export class StoreFormatError extends BrokerError {
  override readonly name: string = 'StoreFormatError'
}

/**
 * Says in a new store how it is kept, and asks an old one.
 *
 * @param base What all keys of the store begin with.
 * @param where The server, for people.
 * @throws StoreFormatError
 */
export async function checkFormat(redis: Redis, base: string, where: string): Promise<void> {
  const key = `${base}head`
  const type = await redis.type(key)
  if (type !== 'none' && type !== 'hash') throw notOurs(where, key)
  if (type === 'hash' && (await redis.hmget(key, 'format', 'last')).every((value) => value === null)) {
    throw notOurs(where, key)
  }
  await redis.hsetnx(key, 'format', FORMAT)
  const said = await redis.hget(key, 'format')
  const format = Number(said)
  if (!Number.isSafeInteger(format) || format < 1) throw notOurs(where, key)
  if (format > FORMAT) {
    throw new StoreFormatError(
      `${where} keeps the events under '${base}' in format ${format} and this Busbar knows formats up to ${FORMAT}: ` +
        "it was written by a newer Busbar. Update busbar in this application, or give another 'prefix'",
    )
  }
}

function notOurs(where: string, key: string): StoreFormatError {
  return new StoreFormatError(
    `${where} has a key ${key} that is not Busbar's: another program uses that name. Give another 'prefix', or rename it there`,
  )
}
