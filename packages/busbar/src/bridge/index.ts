export { Bridge, bridge } from './bridge.ts'
export type { BridgeOptions, BridgeStats } from './options.ts'
