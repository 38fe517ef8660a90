import type * as Client from '@platformatic/kafka'
import type { fetchV17 } from '@platformatic/kafka'
import { ConfigurationError } from '../message/errors.ts'

/** The client's module, loaded when it is needed. */
export type Kafka = typeof Client

/** An answer to a fetch. */
export type FetchResponse = fetchV17.FetchResponse

interface Versioned {
  readonly api: { readonly key: number; readonly version: number }
}

/** Versions of one request that the server takes. */
export interface Range {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

export type Apis = ReturnType<typeof choose>

/**
 * The newest version of each request that both sides know. Those of one line take the same arguments; the oldest of them is
 * what makes Kafka 3.1 the oldest server.
 *
 * @throws ConfigurationError where the server is too old.
 */
export function choose(client: Kafka, ranges: readonly Range[]) {
  const pick = <T extends Versioned>(newest: T, ...older: readonly Versioned[]): T['api'] => {
    const range = ranges.find(({ apiKey }) => apiKey === newest.api.key)
    for (const { api } of [newest, ...older]) {
      if (range === undefined || api.version > range.maxVersion || api.version < range.minVersion) continue
      return api
    }
    const has = range === undefined ? 'none' : `${range.minVersion} to ${range.maxVersion}`
    throw new ConfigurationError(
      `the Kafka server is too old or too new: of request ${newest.api.key} it takes version ${has}, and Busbar needs ` +
        `${(older.at(-1) ?? newest).api.version} to ${newest.api.version}. Kafka 3.1 and later will do`,
    )
  }
  const c = client
  return {
    produce: produceOf(c, pick(c.produceV11, c.produceV10, c.produceV9).version),
    initProducerId: pick(c.initProducerIdV5, c.initProducerIdV4, c.initProducerIdV3),
    fetch: pick(c.fetchV17, c.fetchV16, c.fetchV15, c.fetchV14, c.fetchV13),
    listOffsets: pick(c.listOffsetsV9, c.listOffsetsV8, c.listOffsetsV7, c.listOffsetsV6),
    metadata: pick(c.metadataV12, c.metadataV11),
    findCoordinator: pick(c.findCoordinatorV6, c.findCoordinatorV5, c.findCoordinatorV4),
    joinGroup: pick(c.joinGroupV9, c.joinGroupV8, c.joinGroupV7, c.joinGroupV6),
    syncGroup: pick(c.syncGroupV5),
    heartbeat: pick(c.heartbeatV4),
    leaveGroup: pick(c.leaveGroupV5, c.leaveGroupV4),
    offsetCommit: pick(c.offsetCommitV9, c.offsetCommitV8),
    offsetFetch: pick(c.offsetFetchV9, c.offsetFetchV8),
    listGroups: pick(c.listGroupsV5, c.listGroupsV4),
    deleteGroups: pick(c.deleteGroupsV2),
    createTopics: pick(c.createTopicsV7, c.createTopicsV6, c.createTopicsV5),
    deleteTopics: pick(c.deleteTopicsV6),
    describeConfigs: pick(c.describeConfigsV4),
  }
}

/** Batches of one request to write, by topic. */
export type Batches = readonly {
  readonly topic: string
  readonly partitions: readonly { readonly partition: number; readonly batch: Buffer }[]
}[]

/** The client's request to write, with batches that are encoded already. */
function produceOf(client: Kafka, version: number) {
  const { parseResponse } = version === 11 ? client.produceV11 : version === 10 ? client.produceV10 : client.produceV9
  const createRequest = (acks: number, timeout: number, batches: Batches) =>
    client.Writer.create()
      .appendString(null)
      .appendInt16(acks)
      .appendInt32(timeout)
      .appendArray([...batches], (writer, { topic, partitions }) => {
        writer.appendString(topic).appendArray([...partitions], (inner, { partition, batch }) => {
          inner.appendInt32(partition).appendBytes(batch)
        })
      })
      .appendTaggedFields()
  type Answer = ReturnType<Kafka['produceV9']['parseResponse']>
  return client.createAPI<[acks: number, timeout: number, batches: Batches], Answer>(
    PRODUCE,
    version,
    createRequest,
    parseResponse,
  )
}

const PRODUCE = 0
