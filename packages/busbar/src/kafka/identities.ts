import { BrokerError } from '../broker/index.ts'
import type { Cluster } from './cluster.ts'
import { isApi, reasonOf } from './errors.ts'

/** Who a batch is from, for the server, which numbers the batches of each. */
export interface Identity {
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** The identity of a producer, which the server gives, and another one where it is lost. */
export class Identities {
  private readonly cluster: Cluster
  private asked: Promise<Identity> | undefined
  current: Identity | undefined

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** The server knows the identity, or the numbers of its batches, no more. */
  static isLost(error: unknown): boolean {
    return isApi(
      error,
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      'UNKNOWN_PRODUCER_ID',
      'INVALID_PRODUCER_EPOCH',
      'INVALID_PRODUCER_ID_MAPPING',
      'PRODUCER_FENCED',
    )
  }

  get(): Promise<Identity> {
    this.asked ??= this.ask().catch((error: unknown) => {
      this.asked = undefined
      throw error
    })
    return this.asked
  }

  /** Gives up an identity; undefined: the current one. */
  renew(lost: Identity | undefined): void {
    if (lost !== undefined && lost !== this.current) return
    this.current = this.asked = undefined
  }

  private async ask(): Promise<Identity> {
    const { cluster } = this
    const until = performance.now() + cluster.settings.publishTimeout
    try {
      // Minus one and minus one: a new identity, of no transaction.
      const ask = () => cluster.ask(undefined, cluster.apis.initProducerId, [null, 60_000, -1n, -1])
      const { producerId, producerEpoch } = await cluster.retrying('asking for a producer id', ask, until)
      this.current = { producerId, producerEpoch }
      return this.current
    } catch (error) {
      if (!isApi(error, 'CLUSTER_AUTHORIZATION_FAILED')) throw error
      throw new BrokerError(`this user may not write numbered batches: allow it IdempotentWrite (${reasonOf(error)})`, {
        cause: error,
      })
    }
  }
}
