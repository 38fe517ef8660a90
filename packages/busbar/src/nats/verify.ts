import type { StreamConfig } from '@nats-io/jetstream'
import { BrokerError } from '../broker/index.ts'
import { explain } from './errors.ts'

/** One setting of the server that differs from what this broker would have made. */
export interface Difference {
  readonly stream: string
  readonly setting: string
  readonly expected: unknown
  readonly found: unknown
}

/** Settings that only say how much is kept, or how safe: they are the operator's to change. */
const FREE = new Set([
  'max_age',
  'max_bytes',
  'max_msgs',
  'max_msg_size',
  'num_replicas',
  'duplicate_window',
  'discard',
  'allow_direct',
])

/** What a stream has otherwise than it is wanted. */
export function differences(
  wanted: Partial<StreamConfig> & { readonly name: string },
  found: StreamConfig,
): Difference[] {
  const list: Difference[] = []
  for (const [setting, expected] of Object.entries(wanted)) {
    if (setting === 'metadata') continue
    const actual = found[setting as keyof StreamConfig]
    // A server leaves out what is off.
    if (same(actual, expected) || (actual === undefined && expected === false)) continue
    list.push({ stream: wanted.name, setting, expected, found: actual })
  }
  return list
}

/** Scheduling is a capability of its own; everything else that is not free has to be so. */
export function breaksPromises({ setting, expected, found }: Difference): boolean {
  if (FREE.has(setting) || setting === 'allow_msg_schedules') return false
  if (setting !== 'subjects') return true
  const taken = found as readonly string[] | undefined
  return !(expected as readonly string[]).every((subject) => subject.includes('.later.') || taken?.includes(subject))
}

export function cannotMake({ name }: { readonly name: string }, error: unknown, prefix: string): Error {
  const { code } = error as { code?: unknown }
  const hint = hints.get(code)?.(prefix) ?? ''
  const { message } = explain(error, `make the stream ${name}`)
  return new BrokerError(`stream ${name} could not be made: ${message}${hint}`, { cause: error })
}

/** By codes of JetStream. */
const hints = new Map<unknown, (prefix: string) => string>([
  [10065, (prefix) => `; another stream takes subjects below '${prefix}.': use another 'prefix'`],
  [10074, () => `; 'replicas' above 1 needs a cluster`],
  [10005, () => `; 'replicas' is more than the cluster has servers for`],
])

export function text(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value)
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
