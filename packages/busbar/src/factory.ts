import type { Broker, Outbox } from './broker/index.ts'
import { EventBus } from './bus/index.ts'
import { BROKERS } from './config/brokers/index.ts'
import {
  type BrokerConfig,
  type BusConfig,
  brokerSettings,
  busOptions,
  type Environment,
  type HybridConfig,
  type OutboxConfig,
  outboxSettings,
  storeSettings,
} from './config/config.ts'
import { ConfigurationError } from './message/errors.ts'
import type { KeepingBroker } from './persistence/index.ts'
import { storageOf } from './store-factory.ts'
import type { EventStorage } from './store/index.ts'
import type { TestEventBus } from './testing/test-event-bus.ts'

/**
 * Makes a bus and starts it.
 *
 * @param target A URL (`memory:`, `sqlite:orders.db`) or a configuration; default: the environment (`BUSBAR_URL` …).
 * @param options Further settings, where `target` is a URL.
 * @throws ConfigurationError naming the field and what would be right; BrokerError where the broker cannot be reached.
 *
 * @example
 * await using bus = await createEventBus('sqlite:orders.db', { source: 'orders' })
 */
export async function createEventBus(
  target?: string | BusConfig,
  options: Omit<BusConfig, 'broker'> = {},
): Promise<EventBus> {
  const config = typeof target === 'string' ? { ...options, broker: target } : { ...target, ...options }
  return EventBusFactory.createAndStart(config)
}

/** Makes buses of configurations. The environment fills in what a configuration leaves out. */
export const EventBusFactory = {
  /** A bus that is not started: subscribe what there is, then `start()`. */
  async create(config: BusConfig = {}, env: Environment = process.env): Promise<EventBus> {
    const { broker, hybrid, outbox, store, shouldPersist, ...options } = busOptions(config, env)
    const remote = await brokerOf(broker, env)
    const whole = typeof hybrid === 'object' ? await hybridOf(remote, hybrid, env) : remote
    const keeping = await keepingOf(whole, { broker, store, shouldPersist, logger: options.logger }, env)
    return new EventBus(keeping ?? whole, {
      ...options,
      ...(keeping === undefined ? {} : { store: keeping.storage }),
      ...(outbox === undefined ? {} : { outbox: await outboxOf(outbox, env, options.logger) }),
    })
  },

  async createAndStart(config: BusConfig = {}, env: Environment = process.env): Promise<EventBus> {
    const bus = await EventBusFactory.create(config, env)
    try {
      await bus.start()
    } catch (error) {
      await bus.stop().catch(() => {})
      throw error
    }
    return bus
  },

  /** A started bus in memory for tests, which remembers what happened: `createTestEventBus` of busbar/testing. */
  async createForTesting(
    config: Omit<BusConfig, 'broker' | 'outbox' | 'store' | 'shouldPersist'> = {},
  ): Promise<TestEventBus> {
    const { createTestEventBus } = await import('./testing/test-event-bus.ts')
    const { outbox: _, store: _store, shouldPersist: _policy, ...options } = busOptions(config, {})
    return createTestEventBus(options)
  },
} as const

async function brokerOf(given: string | BrokerConfig | Broker | undefined, env: Environment): Promise<Broker> {
  if (given === undefined) {
    throw new ConfigurationError(
      `no broker was named: give a URL such as 'memory:' or 'sqlite:orders.db', or set BUSBAR_URL`,
    )
  }
  if (isBroker(given)) return given
  const { type, settings } = brokerSettings(given, env)
  return BROKERS[type].load(settings)
}

async function hybridOf(remote: Broker, config: HybridConfig, env: Environment): Promise<Broker> {
  const { DefaultRoutingStrategy, HybridBroker } = await import('./hybrid/index.ts')
  const { local = 'memory:', localTypes, remoteTypes, routing } = config
  return new HybridBroker({
    local: await brokerOf(local, env),
    remote,
    routing: routing ?? new DefaultRoutingStrategy(localTypes, remoteTypes),
  })
}

/** The broker over an event store, where one is configured. */
async function keepingOf(
  broker: Broker,
  given: { readonly [K in 'broker' | 'store' | 'shouldPersist' | 'logger']: BusConfig[K] | undefined },
  env: Environment,
): Promise<KeepingBroker | undefined> {
  const { store, shouldPersist, logger } = given
  if (store === undefined || store === false) {
    if (shouldPersist === undefined) return undefined
    throw new ConfigurationError(
      `option 'shouldPersist' says what is kept, and there is no 'store' to keep it in: name one`,
    )
  }
  const { KeepingBroker } = await import('./persistence/index.ts')
  const settings = {
    ...(shouldPersist === undefined ? {} : { shouldPersist }),
    ...(logger === undefined ? {} : { logger }),
  }
  return new KeepingBroker({ broker, storage: await storageFor(broker, given.broker, store, env), ...settings })
}

/** On the broker's own connection where both are the same database. */
async function storageFor(
  broker: Broker,
  brokerGiven: BusConfig['broker'],
  store: NonNullable<BusConfig['store']>,
  env: Environment,
): Promise<EventStorage> {
  if (typeof store === 'object' && 'storage' in store) return store.storage
  if (store === true || isSameDatabase(brokerGiven, store, env)) return storageOn(broker)
  return storageOf(store as Exclude<typeof store, boolean>, env)
}

function isSameDatabase(broker: BusConfig['broker'], store: BusConfig['store'], env: Environment): boolean {
  const isNamed = (given: unknown): given is string | { readonly type: 'memory' } =>
    typeof given === 'string' ||
    (typeof given === 'object' && given !== null && 'type' in given && !('append' in given))
  if (!isNamed(broker) || !isNamed(store) || (typeof broker === 'object' && 'publish' in broker)) return false
  const [one, other] = [brokerSettings(broker, env), storeSettings(store, env)]
  return (
    one.type === other.type && one.type !== 'memory' && JSON.stringify(one.settings) === JSON.stringify(other.settings)
  )
}

async function storageOn(broker: Broker): Promise<EventStorage> {
  const { SqliteBroker, SqliteEventStorage } = await import('./sqlite/index.ts')
  if (broker instanceof SqliteBroker) return new SqliteEventStorage({ broker })
  if (broker.name === 'postgres') {
    const { PostgresBroker, PostgresEventStorage } = await import('./postgres/index.ts')
    if (broker instanceof PostgresBroker) return new PostgresEventStorage({ broker })
  }
  throw new ConfigurationError(
    `option 'store' is true, and broker '${broker.name}' has no log that could keep events: name a store, for example 'sqlite:events.db'`,
  )
}

async function outboxOf(
  given: string | OutboxConfig | Outbox,
  env: Environment,
  logger: BusConfig['logger'],
): Promise<Outbox> {
  if (typeof given === 'object' && 'publishIn' in given) return given
  const { outbox } = await import('./outbox/index.ts')
  const { broker, ...settings } = outboxSettings(given, env)
  return outbox({ ...settings, broker: await brokerOf(broker, env), ...(logger === undefined ? {} : { logger }) })
}

function isBroker(given: string | BrokerConfig | Broker): given is Broker {
  return typeof given === 'object' && 'publish' in given && typeof given.publish === 'function'
}
