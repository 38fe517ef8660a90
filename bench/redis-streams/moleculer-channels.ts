import { Redis } from 'ioredis'
import { Middleware, ServiceBroker } from '../../peers/moleculer-channels/index.ts'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'
import { empty, prefixOf, remove, url } from './settings.ts'

type Channels = { readonly sendToChannel: (channel: string, payload: Payload) => Promise<void> }

/** One service with one channel; as many messages in flight as Busbar has in memory, where its default is one. */
export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`moleculer-${payloadBytes}`)
  const redis = new Redis(url)
  const tally = new Tally()
  const broker = new ServiceBroker({ logger: false, middlewares: [channels()] })
  await broker.start()
  const { sendToChannel } = broker as unknown as Channels
  const payload = payloads(payloadBytes)
  let group = 0
  let service: Parameters<typeof broker.destroyService>[0] | undefined
  const handler = async (): Promise<void> => tally.add()
  const back = async (): Promise<void> => {
    const channel = { group: `g${group}`, maxInFlight: 100, handler }
    service = broker.createService({ name: `orders-${group}`, channels: { [prefix]: channel } })
  }
  const away = async (): Promise<void> => {
    if (service !== undefined) await broker.destroyService(service)
    await empty(redis, prefix)
    if (group > 0) await redis.xgroup('DESTROY', prefix, `g${group}`)
    group++
    await redis.xgroup('CREATE', prefix, `g${group}`, '$', 'MKSTREAM')
  }
  const one = (n: number): Promise<void> => sendToChannel(prefix, payload(n))
  await away()
  await back()
  return {
    tally,
    one,
    window: together(one),
    line: { away, back },
    close: async () => {
      await broker.stop()
      await remove(redis, prefix)
      redis.disconnect()
    },
  }
}

/** Its types ask for every option, and moleculer's for one shape of middleware. */
function channels(): string {
  return Middleware({ adapter: url } as Parameters<typeof Middleware>[0]) as unknown as string
}
