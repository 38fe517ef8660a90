/** What a run needs of each broker beside its conformance target: a server of its own, and what makes that one keep its word. */
import type { ServerName } from '../script/servers/server.ts'

export interface ChaosBroker {
  /** Undefined: it has no server, so that only processes can be killed. */
  readonly server?: ServerName
  /** What `confirmed` rests on; told with the result. */
  readonly setting: string
}

const redis = { server: 'redis', setting: 'appendonly yes, appendfsync always' } as const

export const chaosBrokers: Readonly<Record<string, ChaosBroker>> = {
  sqlite: { setting: 'journal_mode WAL' },
  postgres: { server: 'postgres', setting: 'fsync on, synchronous_commit on' },
  'redis-streams': redis,
  bullmq: redis,
  kafka: { server: 'kafka', setting: 'acks all, one node, log.flush.interval.messages 1' },
  rabbitmq: { server: 'rabbitmq', setting: 'quorum queues, publisher confirms' },
  nats: { server: 'nats', setting: 'JetStream on disk, sync_interval always' },
}

/** What the run of outbox and inbox relays to, where no other broker is named. */
export const outboxBroker = 'redis-streams'

/** Names that a run can be asked for, each with the server that it needs, where it needs one. */
export const chaosRuns: Readonly<Record<string, ChaosBroker>> = { ...chaosBrokers, outbox: redis }
