export { Bridge, bridge } from './bridge.ts'
export type { BridgeOptions, BridgeStats } from './options.ts'
export { StoreRelay, type StoreRelayOptions, type StoreRelayStats } from './store-relay.ts'
