import type { Socket } from 'node:net'
import type { Redis } from 'ioredis'

/** Commands of one moment leave with one call of the system. */
export function together<T>(redis: Redis, send: () => T): T {
  const { stream } = redis as unknown as { readonly stream?: Socket }
  stream?.cork()
  try {
    return send()
  } finally {
    stream?.uncork()
  }
}
