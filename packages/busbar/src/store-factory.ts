import { type Environment, type StoreConfig, storeSettings } from './config/config.ts'
import { STORES } from './config/stores/index.ts'
import { EventStore, type EventStoreOptions } from './eventstore/index.ts'
import { ConfigurationError, type ContractLike } from './message/index.ts'
import type { EventStorage } from './store/index.ts'

/**
 * Makes an event store and starts it.
 *
 * @param target A URL (`memory:`), a type with its settings, or a storage of your own; default: `BUSBAR_STORE_URL`.
 * @param options The contracts of its events, and the rest of `EventStoreOptions`.
 * @throws ConfigurationError naming the field and what would be right; BrokerError where the storage cannot be reached.
 *
 * @example
 * await using store = await createEventStore('memory:', { contracts: [OrderPlaced, OrderPaid] })
 */
export async function createEventStore<C extends ContractLike = ContractLike>(
  target?: string | StoreConfig | EventStorage,
  options: EventStoreOptions<C> = {},
  env: Environment = process.env,
): Promise<EventStore<C>> {
  const given = target ?? env['BUSBAR_STORE_URL']
  if (given === undefined) {
    throw new ConfigurationError(`no event store was named: give a URL such as 'memory:', or set BUSBAR_STORE_URL`)
  }
  const store = new EventStore<C>(await storageOf(given, env), options)
  try {
    await store.start()
  } catch (error) {
    await store.stop().catch(() => {})
    throw error
  }
  return store
}

/** The storage that is named or given; not started. */
export async function storageOf(given: string | StoreConfig | EventStorage, env: Environment): Promise<EventStorage> {
  if (isStorage(given)) return given
  const { type, settings } = storeSettings(given, env)
  return STORES[type].load(settings)
}

function isStorage(given: string | StoreConfig | EventStorage): given is EventStorage {
  return typeof given === 'object' && 'append' in given && typeof given.append === 'function'
}
