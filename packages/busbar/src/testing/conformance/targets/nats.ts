import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Broker } from '../../../broker/index.ts'
import type { Lifecycle } from '../../../broker/lifecycle.ts'
import { NatsBroker } from '../../../nats/index.ts'
import type { TargetFaults, TargetOptions } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

function server({ settings }: TargetOptions): string {
  const { url } = settings
  if (url === undefined) throw new Error('BUSBAR_NATS_URL is not set: eval "$(./script/brokers up nats)"')
  return url
}

/** Those of this process, by namespace. */
const made = new Map<string, NatsBroker[]>()

/** Streams of its own for each namespace. */
export function createBroker(options: TargetOptions): Broker {
  const { namespace, lease } = options
  const broker = new NatsBroker({
    servers: server(options),
    prefix: namespace,
    logger: silent,
    ...(lease === undefined ? {} : { lease }),
  })
  made.set(namespace, [...(made.get(namespace) ?? []), broker])
  return broker
}

export async function cleanup(options: TargetOptions): Promise<void> {
  made.delete(options.namespace)
  const nc = await connect({ servers: server(options) })
  const jsm = await jetstreamManager(nc)
  for await (const name of jsm.streams.names()) {
    if (name.startsWith(`${options.namespace}_`)) await jsm.streams.delete(name).catch(() => false)
  }
  await nc.close()
}

export const faults: TargetFaults = {
  /** The stream of dead letters takes no message with a body. */
  async failDeadLetters(options) {
    await limit(options, 1)
    return () => limit(options, -1)
  },

  /** Every connection of the namespace in this process is cut as soon as it is there. */
  async interrupt({ namespace }) {
    const cut = (): void => {
      for (const broker of made.get(namespace) ?? [])
        void connectionOf(broker)
          ?.reconnect()
          .catch(() => {})
    }
    cut()
    const timer = setInterval(cut, 5)
    return () => clearInterval(timer)
  },
}

/** Undefined: it is not connected yet, or was stopped. */
function connectionOf(broker: NatsBroker): NatsConnection | undefined {
  const { life } = broker as unknown as {
    readonly life: Lifecycle<{ readonly context: { readonly nc: NatsConnection } }>
  }
  return life.opened?.context.nc
}

async function limit(options: TargetOptions, bytes: number): Promise<void> {
  const nc = await connect({ servers: server(options) })
  const jsm = await jetstreamManager(nc)
  await jsm.streams.update(`${options.namespace}_dead`, { max_msg_size: bytes })
  await nc.close()
}
