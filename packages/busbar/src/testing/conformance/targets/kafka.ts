import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '@platformatic/kafka'
import type { Broker, DeadLetter } from '../../../broker/index.ts'
import { KafkaBroker } from '../../../kafka/index.ts'
import { MessageTooLargeError } from '../../../message/errors.ts'
import type { TargetFaults, TargetOptions } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

/** The shortest that a server allows whose `group.min.session.timeout.ms` nobody has changed. */
const SHORTEST_LEASE = 6_000
const TOPIC = 2

function server({ settings }: TargetOptions): string {
  const { url } = settings
  if (url === undefined) throw new Error('BUSBAR_KAFKA_URL is not set: eval "$(./script/brokers up kafka)"')
  return new URL(url).host
}

/** A prefix for each namespace, so that nothing of one is listed in another. */
export function createBroker(options: TargetOptions): Broker {
  const { namespace, lease = SHORTEST_LEASE } = options
  return new KafkaBroker({
    brokers: server(options),
    prefix: namespace,
    client: { context: namespace },
    partitions: 4,
    lease: Math.max(SHORTEST_LEASE, lease),
    heartbeat: 150,
    logger: silent,
  })
}

export async function cleanup(options: TargetOptions): Promise<void> {
  const { Admin } = await import('@platformatic/kafka')
  const admin = new Admin({ clientId: 'cleanup', bootstrapBrokers: [server(options)] })
  try {
    const mine = (name: string): boolean => name.startsWith(`${options.namespace}.`)
    const groups = [...(await admin.listGroups()).keys()].filter(mine)
    if (groups.length > 0) await admin.deleteGroups({ groups }).catch(() => undefined)
    const topics = (await admin.listTopics()).filter(mine)
    if (topics.length > 0) await admin.deleteTopics({ topics })
  } finally {
    await admin.close()
  }
}

/** Every connection that was made in this process; its context is its namespace. */
const connections = new Set<Connection>()
channel('plt:kafka:instances').subscribe((said) => {
  const { type, instance } = said as { type: string; instance: Connection }
  if (type === 'connection') connections.add(instance.once('close', () => connections.delete(instance)))
})

export const faults: TargetFaults = {
  /** The topic of dead letters takes no message of any size. */
  async failDeadLetters(options) {
    const broker = createBroker(options)
    await broker.start()
    const letter: Omit<DeadLetter, 'id'> = {
      group: 'nobody',
      topic: 'none',
      position: '-',
      redeliveries: 0,
      message: {
        id: 'none',
        type: 'None',
        kind: 'event',
        source: 'conformance',
        time: new Date(),
        version: 1,
        metadata: { correlationId: 'none' },
        contentType: 'application/json',
        body: '{}',
      },
      failure: {
        reason: 'failed',
        error: { name: 'Error', message: 'none' },
        handler: 'none',
        attempts: 1,
        firstFailedAt: 0,
        lastFailedAt: 0,
      },
    }
    // Makes the topic.
    await broker.deadLetters.put(letter)
    await limit(options, '1')
    // The check goes on once the server is seen to refuse: that it took the setting does not say that it heeds it.
    try {
      await refused(() => broker.deadLetters.put(letter))
    } finally {
      await broker.stop()
    }
    return () => limit(options, '2000000')
  },

  /** Every connection is cut as soon as it is there. */
  interrupt({ namespace }) {
    const cut = (): void => {
      for (const connection of connections) if (connection.context === namespace) connection.socket?.destroy()
    }
    cut()
    const timer = setInterval(cut, 5)
    return Promise.resolve(() => clearInterval(timer))
  },
}

/** Asks until the server refuses what is too large. Any other error, or none within some ten seconds, is one of the fault itself. */
async function refused(put: () => Promise<unknown>): Promise<void> {
  for (let asked = 0; asked < 500; asked++) {
    try {
      await put()
    } catch (error) {
      if (error instanceof MessageTooLargeError) return
      throw error
    }
    await sleep(20)
  }
  throw new Error('the server goes on taking dead letters, though the topic is to take no message of any size')
}

async function limit(options: TargetOptions, bytes: string): Promise<void> {
  const {
    Admin,
    IncrementalAlterConfigOperationTypes: { SET },
  } = await import('@platformatic/kafka')
  const admin = new Admin({ clientId: 'fault', bootstrapBrokers: [server(options)] })
  const configs = [{ name: 'max.message.bytes', configOperation: SET, value: bytes }]
  const resourceName = `${options.namespace}.__dead`
  await admin.incrementalAlterConfigs({ resources: [{ resourceType: TOPIC, resourceName, configs }] })
  await admin.close()
}
