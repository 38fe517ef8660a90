import type { API, Connection, ConnectionPool } from '@platformatic/kafka'
import { BrokerError } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Apis, Kafka } from './apis.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { type Connected, poolOf } from './connection.ts'
import { isApi, isPassing, reasonOf } from './errors.ts'
import type { Address } from './address.ts'
import type { Settings } from './options.ts'

/** A topic as the server has it. */
export interface TopicInfo {
  readonly name: string
  readonly id: string
  /** Id of the leading node, by partition; -1: there is none just now. */
  readonly leaders: readonly number[]
}

/** The servers: who leads which partition, who coordinates which group, and a way to ask each of them. */
export class Cluster {
  readonly client: Kafka
  readonly apis: Apis
  readonly settings: Settings
  readonly logger: BrokerLogger
  closed = false

  private readonly pool: ConnectionPool
  private readonly nodes = new Map<number, Address>()
  private readonly topics = new Map<string, TopicInfo>()
  private readonly coordinators = new Map<string, number>()

  constructor({ client, apis }: Connected, settings: Settings, logger: BrokerLogger) {
    this.client = client
    this.apis = apis
    this.settings = settings
    this.logger = logger
    this.pool = poolOf(client, settings)
  }

  /** Connections for requests that wait long at the server, which answers one request of a connection at a time. */
  newPool(requestTimeout?: number): ConnectionPool {
    return poolOf(this.client, this.settings, requestTimeout)
  }

  async close(): Promise<void> {
    this.closed = true
    await this.pool.close()
  }

  /** Asks one node, or any where none is named. */
  async ask<A extends unknown[], R>(node: number | undefined, api: API<A, R>, args: A, pool = this.pool): Promise<R> {
    return api.async(await this.connectionTo(node, pool), ...args)
  }

  /** Asks again, with backoff, as long as the failure may pass; `until`: milliseconds of `performance.now()`. */
  async retrying<R>(what: string, once: () => Promise<R>, until = Infinity): Promise<R> {
    for (let failures = 1; ; failures++) {
      try {
        return await once()
      } catch (error) {
        if (this.closed || !isPassing(error) || performance.now() > until) throw error
        if (failures === 8) this.logger.warn({ err: reasonOf(error) }, `${what} does not succeed: trying again`)
      }
      await sleep(pauseAfter(failures))
    }
  }

  /** What is known of a topic; undefined: it is not known to be there. */
  known(topic: string): TopicInfo | undefined {
    return this.topics.get(topic)
  }

  /** Asks the servers for topics; null: for all. Topics that are not there are forgotten. */
  async describe(names: readonly string[] | null): Promise<readonly TopicInfo[]> {
    return this.retrying('reading metadata', async () => {
      const response = await this.ask(undefined, this.apis.metadata, [
        names === null ? null : [...names],
        false,
        false,
      ]).catch(partial<Awaited<ReturnType<Apis['metadata']['async']>>>)
      this.nodes.clear()
      for (const { nodeId, host, port } of response.brokers) this.nodes.set(nodeId, { host, port })
      const found: TopicInfo[] = []
      for (const { name, topicId, isInternal, partitions, errorCode } of response.topics) {
        if (name === null || name === undefined || isInternal) continue
        if (errorCode !== 0) {
          this.topics.delete(name)
          continue
        }
        const leaders = partitions
          .toSorted((a, b) => a.partitionIndex - b.partitionIndex)
          .map(({ leaderId }) => leaderId)
        const info = { name, id: topicId, leaders }
        this.topics.set(name, info)
        found.push(info)
      }
      return found
    })
  }

  get nodeIds(): readonly number[] {
    return [...this.nodes.keys()]
  }

  /** The node that leads a partition; undefined: none is known. */
  leaderOf(topic: string, partition: number): number | undefined {
    const leader = this.topics.get(topic)?.leaders[partition]
    return leader === undefined || leader < 0 || !this.nodes.has(leader) ? undefined : leader
  }

  forget(topic: string): void {
    this.topics.delete(topic)
  }

  async coordinatorOf(group: string): Promise<number> {
    const known = this.coordinators.get(group)
    if (known !== undefined && this.nodes.has(known)) return known
    const { coordinators } = await this.ask(undefined, this.apis.findCoordinator, [0, [group]])
    const [found] = coordinators
    if (found === undefined) throw new BrokerError(`no coordinator of group ${group} was named by the Kafka server`)
    this.coordinators.set(group, found.nodeId)
    this.nodes.set(found.nodeId, { host: found.host, port: found.port })
    return found.nodeId
  }

  /** Asks a group's coordinator; who that is is asked anew after a failure. */
  async askCoordinator<A extends unknown[], R>(group: string, api: API<A, R>, args: A, pool = this.pool): Promise<R> {
    const node = await this.coordinatorOf(group)
    try {
      return await this.ask(node, api, args, pool)
    } catch (error) {
      if (isPassing(error) || isApi(error, 'NOT_COORDINATOR')) this.coordinators.delete(group)
      throw error
    }
  }

  private connectionTo(node: number | undefined, pool: ConnectionPool): Promise<Connection> {
    const address = node === undefined ? undefined : this.nodes.get(node)
    if (address !== undefined) return pool.get(address)
    const others = [...this.nodes.values(), ...this.settings.brokers]
    return pool.getFirstAvailable(others.map(({ host, port }) => ({ host, port })))
  }
}

/** An answer of which a part is an error is still an answer. */
export function partial<R>(error: unknown): R {
  const { response } = error as { response?: R }
  if (response === undefined || response === null) throw error
  return response
}
