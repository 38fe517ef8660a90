/** For tests: a bus that remembers, a clock that stands still, and the suites that every broker and event storage has to pass. */
export { collectingLogger, type CollectingLogger, type LogLevel, type LogLine } from './collecting-logger.ts'
export * from './conformance/index.ts'
export * from './event-store/index.ts'
export * from './suite/index.ts'
export { createFakeClock, type FakeClock } from './fake-clock.ts'
export { RoundTripError } from './round-trip.ts'
export type { DeadLettered } from './spies.ts'
export { createTestEventBus, type TestEventBus, type TestEventBusOptions } from './test-event-bus.ts'
