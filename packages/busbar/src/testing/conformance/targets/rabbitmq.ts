import { createServer, connect as connectTo, type Server, type Socket } from 'node:net'
import { connect } from 'amqplib'
import type { Broker } from '../../../broker/index.ts'
import { RabbitMqBroker } from '../../../rabbitmq/index.ts'
import type { TargetFaults, TargetOptions } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

function urlOf({ settings }: TargetOptions): string {
  if (settings['url'] !== undefined) return settings['url']
  throw new Error('BUSBAR_RABBITMQ_URL is not set: eval "$(./script/brokers up rabbitmq)"')
}

/** Processes that checks start are killed, not cut off: they connect without anything in between that would die with them. */
const isChild = /[\\/]child\.[jt]s$/.test(process.argv[1] ?? '')

/** Queues and exchanges of its own for each namespace. */
export async function createBroker(options: TargetOptions): Promise<Broker> {
  const { namespace: prefix, lease } = options
  const url = isChild ? urlOf(options) : (await Wire.of(options)).url
  const heartbeat = lease === undefined ? {} : { heartbeat: Math.max(2, Math.floor(lease / 1_000)) }
  return new RabbitMqBroker({ url, prefix, logger: silent, ...heartbeat })
}

/** Connections of one namespace go through here, so that they can be cut. */
class Wire {
  private static readonly all = new Map<string, Promise<Wire>>()
  readonly url: string
  cut = false
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  private constructor(server: Server, url: string) {
    this.server = server
    this.url = url
  }

  static of(options: TargetOptions): Promise<Wire> {
    const known = Wire.all.get(options.namespace)
    if (known !== undefined) return known
    const made = Wire.make(urlOf(options))
    Wire.all.set(options.namespace, made)
    return made
  }

  static async end({ namespace }: TargetOptions): Promise<void> {
    const wire = await Wire.all.get(namespace)
    Wire.all.delete(namespace)
    wire?.server.close()
    wire?.drop()
  }

  private static make(url: string): Promise<Wire> {
    const target = new URL(url)
    return new Promise((resolve) => {
      const server = createServer((near) => wire.join(near, target)).unref()
      let wire: Wire
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as { port: number }
        const through = new URL(url)
        through.host = `127.0.0.1:${port}`
        wire = new Wire(server, through.href)
        resolve(wire)
      })
    })
  }

  drop(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  private join(near: Socket, { hostname, port }: URL): void {
    if (this.cut) return void near.destroy()
    const far = connectTo({ host: hostname, port: Number(port || 5672), noDelay: true })
    near.setNoDelay(true)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        this.sockets.delete(one)
        other.destroy()
      })
    }
    near.pipe(far).pipe(near)
  }
}

/** Removes everything that the registry of the namespace names. */
export async function cleanup(options: TargetOptions): Promise<void> {
  await Wire.end(options)
  await sweep(options)
}

/** Deletes what the registry of the namespace names, and the registry. */
async function sweep(options: TargetOptions): Promise<void> {
  const { namespace } = options
  const model = await connect(urlOf(options))
  model.on('error', () => {})
  const channel = await model.createChannel()
  channel.on('error', () => {})
  const registry = `${namespace}:::registry`
  const { messageCount } = await channel.assertQueue(registry, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000, 'x-single-active-consumer': true },
  })
  const queues = [registry, `${namespace}:::brokers`]
  const exchanges = [`${namespace}:::talk`]
  let seen = 0
  const read = Promise.withResolvers<void>()
  if (messageCount === 0) read.resolve()
  const partitions = new Map<string, number>()
  const groups: { readonly group: string; readonly of: string }[] = []
  await channel.consume(registry, (received) => {
    const record = JSON.parse(received?.content.toString() || '{}') as Record<string, string>
    if (record['topic'] !== undefined) partitions.set(record['topic'], Number(record['partitions']))
    if (record['group'] !== undefined) groups.push({ group: record['group'], of: record['of'] ?? '' })
    if (record['letters'] !== undefined) queues.push(`${namespace}::${record['letters']}:dead`)
    if (++seen >= messageCount) read.resolve()
  })
  await read.promise
  for (const topic of partitions.keys()) {
    queues.push(`${namespace}:${topic}::partitions`, `${namespace}:${topic}::later`)
    exchanges.push(`${namespace}:${topic}`, `${namespace}:${topic}::any`, `${namespace}:${topic}::later`)
  }
  for (const { group, of } of groups) {
    const base = `${namespace}:${of}:${group}`
    queues.push(`${base}:later`)
    exchanges.push(base, `${base}:later`)
    for (let n = 0; n < (partitions.get(of) ?? 0); n++) queues.push(`${base}:${n}`, `${base}:${n}:marks`)
  }
  for (const queue of new Set(queues)) await channel.deleteQueue(queue)
  for (const exchange of new Set(exchanges)) await channel.deleteExchange(exchange)
  await model.close()
}

export const faults: TargetFaults = {
  /** Where the dead letters of the check's group belong, there is another queue that takes no message. */
  async failDeadLetters(options) {
    const queue = `${options.namespace}::${options.namespace}-group:dead`
    const model = await connect(urlOf(options))
    const channel = await model.createChannel()
    await channel.assertQueue(queue, { durable: true, maxLength: 0, arguments: { 'x-overflow': 'reject-publish' } })
    return async () => {
      await channel.deleteQueue(queue)
      await model.close()
    }
  },

  /** Every connection of the namespace is cut, and no new one is let through. */
  async interrupt(options) {
    const wire = await Wire.of(options)
    wire.cut = true
    wire.drop()
    return () => {
      wire.cut = false
    }
  },
}
