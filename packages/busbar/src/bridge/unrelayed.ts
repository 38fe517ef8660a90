import type { EventStorage, StoredEvent } from '../store/index.ts'

/** Counting what waits ends here. */
const MOST_COUNTED = 1_000

export interface Unrelayed {
  /** Events that a relay has still to publish; at most 1 000 are counted. */
  readonly unsent: number
  /** Milliseconds since the oldest of them was stored; 0 where there is none. */
  readonly oldestUnsentAge: number
}

/** What waits behind the checkpoint of the relays of a name, whichever process has it. */
export async function unrelayed(
  from: EventStorage,
  name: string,
  only: (event: StoredEvent) => boolean,
): Promise<Unrelayed> {
  const position = (await from.checkpoints.get(checkpointOf(name)))?.position ?? ''
  if ((await from.head()).position <= position) return { unsent: 0, oldestUnsentAge: 0 }
  let unsent = 0
  let oldest: number | undefined
  for await (const event of from.readAll({ after: position, limit: MOST_COUNTED })) {
    if (!only(event)) continue
    oldest ??= event.storedAt
    unsent++
  }
  return { unsent, oldestUnsentAge: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest) }
}

/** Where relays of a name keep their place in the store. */
export function checkpointOf(name: string): string {
  return `relay.${name}`
}

/** All but what Busbar keeps for itself. */
export function isForOthers({ topic }: StoredEvent): boolean {
  return !topic.startsWith('busbar.')
}
