/** The middleware that comes with Busbar. */
export { circuitBreaker, type CircuitBreakerOptions, CircuitOpenError, type CircuitState } from './circuit-breaker.ts'
export { type Enrich, type Enriched, enrichment } from './enrichment.ts'
export { filtering, type FilteringOptions } from './filtering.ts'
export { idempotency, type IdempotencyOptions } from './idempotency.ts'
export { type IdempotencyStore, MemoryIdempotencyStore, type MemoryIdempotencyOptions } from './idempotency-store.ts'
export { logging, type LoggingOptions } from './logging.ts'
export { metrics, type MetricsMiddleware } from './metrics.ts'
export {
  type Durations,
  type Labels,
  MemoryMetricsRegistry,
  type MetricsRegistry,
  type MetricsSnapshot,
} from './metrics-registry.ts'
export { rateLimit, type RateLimitOptions } from './rate-limit.ts'
export { standard, type StandardOptions } from './standard.ts'
export { timeout, TimeoutError, type TimeoutOptions } from './timeout.ts'
export { type OpenTelemetryApi, tracing, type TracingOptions } from './tracing.ts'
export { validation, type ValidationOptions, type Verified } from './validation.ts'
