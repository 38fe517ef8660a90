import { type Broker } from './broker/index.ts'
import { type BusOptions, EventBus } from './bus/index.ts'
import { MemoryBroker, type MemoryBrokerOptions } from './memory/index.ts'
import { ConfigurationError } from './message/errors.ts'
import type { SqliteBrokerOptions } from './sqlite/index.ts'

/** Which broker, and its own settings under its own name. */
export type BrokerConfig =
  | { readonly type: 'memory'; readonly memory?: MemoryBrokerOptions }
  | { readonly type: 'sqlite'; readonly sqlite: SqliteBrokerOptions }

/** Settings of a bus as data, so that changing the broker is changing configuration. */
export interface BusConfig extends BusOptions {
  readonly broker: BrokerConfig | string
}
