import { BrokerError } from '../broker/index.ts'
import type { Cluster, TopicInfo } from './cluster.ts'
import { apiNames, isApi, reasonOf } from './errors.ts'
import type { Names } from './names.ts'
import { HEADER_ROOM } from './options.ts'
import { partitionOfKey } from './partitioning.ts'

/** A topic of Busbar: a topic of Kafka, whose partitions are what order is kept in. */
export interface Topic {
  readonly name: string
  /** Its name in Kafka. */
  readonly log: string
  readonly partitions: number
}

/** A setting that the server has otherwise than this broker would make it. */
export interface Difference {
  readonly topic: string
  readonly setting: string
  readonly expected: unknown
  readonly found: unknown
}

interface Wanted {
  readonly name: string
  readonly partitions: number
  readonly configs: Readonly<Record<string, string>>
}

/** Messages without a key that follow one another into one partition, so that they make one batch. */
const TOGETHER = 16
const TOPIC_RESOURCE = 2

/** Topics of one deployment: made where they are missing, and known by their partitions. */
export class Topology {
  private readonly cluster: Cluster
  private readonly names: Names
  private readonly topics = new Map<string, Topic>()
  private readonly making = new Map<string, Promise<TopicInfo>>()
  private turn = 0

  constructor(cluster: Cluster, names: Names) {
    this.cluster = cluster
    this.names = names
  }

  known(name: string): Topic | undefined {
    return this.topics.get(name)
  }

  async ensure(names: readonly string[]): Promise<Topic[]> {
    return Promise.all(
      names.map(async (name) => {
        const known = this.topics.get(name)
        if (known !== undefined) return known
        const log = this.names.log(name)
        return this.remember(name, await this.make(this.logOf(log)))
      }),
    )
  }

  /** Where a group's redeliveries of a topic are; made where it is missing. */
  async ensureRetries(group: string, topic: Topic): Promise<string> {
    const name = this.names.retry(group, topic.name)
    await this.make({ ...this.latestOfEach(name), partitions: topic.partitions })
    return name
  }

  async ensureDelayed(): Promise<TopicInfo> {
    return this.make(this.latestOfEach(this.names.delayed))
  }

  async ensureDead(): Promise<TopicInfo> {
    return this.make({ ...this.latestOfEach(this.names.dead), partitions: 1 })
  }

  async ensurePing(): Promise<TopicInfo> {
    const configs = { 'cleanup.policy': 'delete', 'retention.ms': '3600000' }
    return this.make({ name: this.names.ping, partitions: 1, configs })
  }

  /** All topics of the deployment, also those of other processes. */
  async all(): Promise<Topic[]> {
    const found = await this.cluster.describe(null)
    return found.flatMap((info) => {
      const name = this.names.topicOf(info.name)
      return name === undefined ? [] : [this.remember(name, info)]
    })
  }

  async delete(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    const topics = names.map((name) => ({ name, topicId: null }))
    await this.cluster.retrying('deleting topics', async () => {
      try {
        await this.cluster.ask(undefined, this.cluster.apis.deleteTopics, [topics as never[], 30_000])
      } catch (error) {
        if (!apiNames(error).every((each) => each === 'UNKNOWN_TOPIC_OR_PARTITION') || apiNames(error).length === 0)
          throw error
      }
    })
    // Servers hear of it one after another: as long as one still tells of a topic, nobody could make it anew.
    await this.cluster.retrying('deleting topics', async () => {
      if ((await this.cluster.describe(names)).length > 0) throw new NotYet()
    })
  }

  /** Messages of one key share a partition; those without one take turns. */
  partitionFor(topic: Topic, key: string | undefined): number {
    if (key !== undefined) return partitionOfKey(key, topic.partitions)
    this.turn = (this.turn + 1) % (topic.partitions * TOGETHER)
    return Math.floor(this.turn / TOGETHER)
  }

  /** What the server has otherwise than this broker would make it. */
  async verify(): Promise<Difference[]> {
    const { cluster, names } = this
    const infos = await cluster.describe(null)
    const wanted = infos.flatMap((info): (Wanted & { info: TopicInfo })[] => {
      if (names.topicOf(info.name) !== undefined) return [{ ...this.logOf(info.name), info }]
      const retry = names.retryOf(info.name)
      if (retry !== undefined) {
        const partitions = cluster.known(names.log(retry.topic))?.leaders.length ?? info.leaders.length
        return [{ ...this.latestOfEach(info.name), partitions, info }]
      }
      if (info.name === names.delayed) return [{ ...this.latestOfEach(info.name), info }]
      return info.name === names.dead ? [{ ...this.latestOfEach(info.name), partitions: 1, info }] : []
    })
    if (wanted.length === 0) return []
    const resources = wanted.map(({ name, configs }) => ({
      resourceType: TOPIC_RESOURCE,
      resourceName: name,
      configurationKeys: Object.keys(configs),
    }))
    const { results } = await cluster.ask(undefined, cluster.apis.describeConfigs, [resources as never[], false, false])
    const differences: Difference[] = []
    for (const { name, partitions, configs, info } of wanted) {
      const topic = name
      if (info.leaders.length !== partitions) {
        differences.push({ topic, setting: 'partitions', expected: partitions, found: info.leaders.length })
      }
      const found = new Map(
        results.find(({ resourceName }) => resourceName === name)?.configs.map((each) => [each.name, each.value]),
      )
      for (const [setting, expected] of Object.entries(configs)) {
        const actual = found.get(setting)
        if (actual !== expected) differences.push({ topic, setting, expected, found: actual })
      }
    }
    return differences
  }

  private remember(name: string, info: TopicInfo): Topic {
    const known = this.topics.get(name)
    if (known !== undefined) return known
    const topic = { name, log: info.name, partitions: info.leaders.length }
    this.topics.set(name, topic)
    return topic
  }

  /** A topic that is there already is taken as it is; `verify` tells the differences. */
  private make(wanted: Wanted): Promise<TopicInfo> {
    const known = this.cluster.known(wanted.name)
    if (known !== undefined) return Promise.resolve(known)
    const making = this.making.get(wanted.name) ?? this.makeOnce(wanted).finally(() => this.making.delete(wanted.name))
    this.making.set(wanted.name, making)
    return making
  }

  private async makeOnce(wanted: Wanted): Promise<TopicInfo> {
    const { name } = wanted
    const [found] = await this.cluster.describe([name])
    if (found !== undefined) return found
    await this.create(wanted)
    // A new topic is not known to all servers at once, nor does it have leaders at once.
    return this.cluster.retrying(`making topic ${name}`, async () => {
      const [made] = await this.cluster.describe([name])
      if (made === undefined || made.leaders.some((leader) => leader < 0)) throw new NotYet()
      return made
    })
  }

  private async create({ name, partitions, configs }: Wanted): Promise<void> {
    const { cluster } = this
    const topic = {
      name,
      numPartitions: partitions,
      replicationFactor: cluster.settings.replicas,
      assignments: [],
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    }
    try {
      await cluster.retrying(`making topic ${name}`, () =>
        cluster.ask(undefined, cluster.apis.createTopics, [[topic], 30_000, false]),
      )
    } catch (error) {
      if (isApi(error, 'TOPIC_ALREADY_EXISTS')) return
      const allowed = isApi(error, 'TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED')
        ? '; allow this user Create and Describe, or make the topic for it'
        : ''
      throw new BrokerError(`topic ${name} could not be made: ${reasonOf(error)}${allowed}`, { cause: error })
    }
  }

  private logOf(name: string): Wanted {
    const { partitions, maxAge, maxBytes, maxMessageBytes, topicConfig } = this.cluster.settings
    const configs = {
      'cleanup.policy': 'delete',
      'retention.ms': String(maxAge),
      'retention.bytes': String(maxBytes),
      'max.message.bytes': String(maxMessageBytes + HEADER_ROOM),
      ...topicConfig,
    }
    return { name, partitions, configs }
  }

  /** A topic that keeps the last record of each key. */
  private latestOfEach(name: string): Wanted {
    const { partitions, maxMessageBytes, topicConfig } = this.cluster.settings
    const configs = {
      ...topicConfig,
      'cleanup.policy': 'compact',
      'max.message.bytes': String(maxMessageBytes + 2 * HEADER_ROOM),
      // Small and soon compacted: it is read from its beginning when a member takes it over.
      'segment.ms': '3600000',
      'segment.bytes': String(64 * 1024 * 1024),
      'min.cleanable.dirty.ratio': '0.1',
    }
    return { name, partitions, configs }
  }
}

/** Looks like an answer of the server that passes. */
class NotYet extends Error {
  readonly apiId = 'LEADER_NOT_AVAILABLE'
}
