import type { Broker } from '../../../broker/index.ts'
import { RedisPubSubBroker } from '../../../redis/index.ts'
import type { TargetOptions } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

/** Without faults: a broker that promises at most once loses what is published while its connections are cut. */
export function createBroker({ settings, namespace }: TargetOptions): Broker {
  const { url } = settings
  if (url !== undefined) return new RedisPubSubBroker({ url, prefix: `busbar-${namespace}`, logger: silent })
  throw new Error('BUSBAR_REDIS_URL is not set: ./script/brokers up redis starts a server and prints it')
}
