/** What an error of the client is about. The client nests them: one for the request, one for each partition in it. */

/** Names of the server's errors after which the same request may succeed, mostly with newer metadata. */
const PASSING: ReadonlySet<string> = new Set([
  'BROKER_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'INCONSISTENT_TOPIC_ID',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'NOT_CONTROLLER',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_LEADER_OR_FOLLOWER',
  'OFFSET_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'REQUEST_TIMED_OUT',
  'THROTTLING_QUOTA_EXCEEDED',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_SERVER_ERROR',
  'UNKNOWN_TOPIC_ID',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNSTABLE_OFFSET_COMMIT',
])

interface Nested {
  readonly code?: unknown
  readonly apiId?: unknown
  readonly message?: unknown
  readonly serverErrorMessage?: unknown
  readonly errors?: readonly unknown[]
  readonly cause?: unknown
}

/** The error and all that it was made of. */
export function* within(error: unknown, depth = 0): Generator<Nested> {
  if (typeof error !== 'object' || error === null || depth > 8) return
  const nested = error as Nested
  yield nested
  if (Array.isArray(nested.errors)) for (const inner of nested.errors) yield* within(inner, depth + 1)
  yield* within(nested.cause, depth + 1)
}

/** The server answered with one of these errors. */
export function isApi(error: unknown, ...names: readonly string[]): boolean {
  for (const { apiId } of within(error)) if (typeof apiId === 'string' && names.includes(apiId)) return true
  return false
}

/** The names of all of the server's errors in it. */
export function apiNames(error: unknown): readonly string[] {
  return [...within(error)].map(({ apiId }) => apiId).filter((id) => typeof id === 'string')
}

export function isAuthentication(error: unknown): boolean {
  for (const { code, apiId } of within(error)) {
    if (code === 'PLT_KFK_AUTHENTICATION' || apiId === 'SASL_AUTHENTICATION_FAILED') return true
  }
  return false
}

/** Certificates, host names, or one side that speaks TLS and another that does not. */
export function isTls(error: unknown): boolean {
  for (const { code, message } of within(error)) {
    if (typeof code === 'string' && /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO)/.test(code))
      return true
    if (typeof message === 'string' && /certificate|\bTLS\b|\bSSL\b/i.test(message)) return true
  }
  return false
}

/** It could not be reached, or is busy with itself: the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  if (isAuthentication(error) || isTls(error)) return false
  const names = apiNames(error)
  if (names.length > 0) return names.every((name) => PASSING.has(name))
  for (const { code } of within(error)) {
    if (code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_UNEXPECTED_CORRELATION_ID') return true
    if (typeof code === 'string' && /^E(CONN|PIPE|HOST|NET|AI_|TIMEDOUT|NOTFOUND)/.test(code)) return true
  }
  return false
}

/** In words for people: what is innermost says most. */
export function reasonOf(error: unknown): string {
  const said: string[] = []
  for (const { message, apiId, serverErrorMessage } of within(error)) {
    const text = typeof serverErrorMessage === 'string' && serverErrorMessage !== '' ? serverErrorMessage : message
    if (typeof text === 'string' && text !== '') said.push(typeof apiId === 'string' ? `${apiId}: ${text}` : text)
  }
  return [...new Set(said)].slice(-2).join('; ') || String(error)
}
