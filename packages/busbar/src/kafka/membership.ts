import type { ConnectionPool } from '@platformatic/kafka'
import { BrokerError } from '../broker/index.ts'
import { assign, type TopicPartition } from './assignment.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { Cluster } from './cluster.ts'
import { isApi, isPassing, reasonOf } from './errors.ts'
import { commit, type ToCommit } from './offsets.ts'

/** What a member does about its partitions. */
export interface MembershipHost {
  /** All that it claims now, drained or not. */
  readonly owned: readonly TopicPartition[]
  /** The partitions that are to be its own: new ones may be begun with, missing ones are to be drained and given up. */
  assigned(partitions: readonly TopicPartition[]): void
  /** The group has gone on without this member: nothing is its own any more, at once. */
  expelled(): void
}

const PROTOCOL_TYPE = 'consumer'
const PROTOCOL = 'busbar-v1'

/**
 * One member of a consumer group. Its heartbeats do not depend on handlers, and joining again costs it nothing that it has: a
 * partition is its own from the moment that it is given until it has given it up, or the group has expelled it.
 */
export class Membership {
  /** Milliseconds of `performance.now()` until which the group has surely not gone on without it. */
  private validUntil = 0
  private id = ''
  private generation = -1
  private readonly cluster: Cluster
  private readonly group: string
  private topics: readonly string[]
  private readonly host: MembershipHost
  private readonly pool: ConnectionPool
  private closed = false
  private running: Promise<void> | undefined
  private wakeUp: (() => void) | undefined
  private rejoin = false

  constructor(cluster: Cluster, group: string, topics: readonly string[], host: MembershipHost) {
    this.cluster = cluster
    this.group = group
    this.topics = topics
    this.host = host
    // Joining waits for all others.
    this.pool = cluster.newPool(cluster.settings.lease * 2 + 30_000)
  }

  /** This member is sure of its partitions. */
  get alive(): boolean {
    return performance.now() < this.validUntil
  }

  /** Resolves when it is in the group and knows its partitions. */
  async start(): Promise<void> {
    await this.cluster.retrying(`joining group ${this.group}`, () =>
      this.join().catch((error: unknown) => this.startAgain(error)),
    )
    this.running = this.run()
  }

  /** Tells the others what it has now, as soon as possible. */
  changed(): void {
    this.rejoin = true
    this.wakeUp?.()
  }

  /** Wants no partitions any more; it keeps what it has until it has given it up. */
  withdraw(): void {
    this.topics = []
    this.changed()
  }

  /** Its time is over, whatever the group has noticed. */
  expire(): void {
    if (!this.alive) this.expel()
  }

  /** Asks at once whether others have come or gone. */
  look(): void {
    this.wakeUp?.()
  }

  /** @throws where it was not stored; `expelled` is told where it never will be. */
  async commit(places: readonly ToCommit[]): Promise<void> {
    try {
      const { id, generation } = this
      await commit(this.cluster, this.group, { id, generation }, places)
    } catch (error) {
      if (isApi(error, 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID')) this.expel()
      throw error
    }
  }

  /** Leaves the group at once, so that the others need not wait for it. */
  async leave(): Promise<void> {
    this.closed = true
    this.wakeUp?.()
    const { cluster, group, id } = this
    this.validUntil = 0
    if (id !== '') {
      const member = { memberId: id, reason: 'stopped' }
      await cluster.askCoordinator(group, cluster.apis.leaveGroup, [group, [member]]).catch(() => {})
    }
    await this.pool.close()
    await this.running
  }

  private async run(): Promise<void> {
    for (let failures = 0; !this.closed;) {
      try {
        await this.pause(this.cluster.settings.heartbeat)
        if (this.closed) return
        if (this.id !== '' && !this.alive) this.expel()
        if (this.rejoin || this.id === '') await this.join()
        else await this.beat()
        failures = 0
      } catch (error) {
        if (this.closed) return
        if (this.understood(error)) continue
        if (++failures === 8) {
          this.cluster.logger.warn(
            { group: this.group, err: reasonOf(error) },
            'the group cannot be reached: trying again',
          )
        }
        await sleep(pauseAfter(failures))
      }
    }
  }

  /** What the group says about this member. True: it is known what to do. */
  private understood(error: unknown): boolean {
    if (isApi(error, 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID')) this.expel()
    // What it claims it still has: nobody gets it as long as the group knows the member.
    else if (isApi(error, 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS')) this.rejoin = true
    else return false
    this.wakeUp?.()
    return true
  }

  private startAgain(error: unknown): never {
    if (isApi(error, 'UNKNOWN_MEMBER_ID')) this.id = ''
    if (isApi(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS')) {
      throw Object.assign(new BrokerError(`group ${this.group} is being shared out`), {
        apiId: 'COORDINATOR_LOAD_IN_PROGRESS',
      })
    }
    throw isPassing(error) ? error : explained(this.group, error)
  }

  private expel(): void {
    this.validUntil = 0
    this.id = ''
    this.generation = -1
    this.rejoin = true
    this.host.expelled()
  }

  private async pause(ms: number): Promise<void> {
    if (this.rejoin) return
    await new Promise<void>((resolve) => {
      // Not unref'd: a process that only consumes stays alive.
      const timer = setTimeout(resolve, ms)
      this.wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.wakeUp = undefined
  }

  private async beat(): Promise<void> {
    const { cluster, group, generation, id } = this
    const began = performance.now()
    await cluster.askCoordinator(group, cluster.apis.heartbeat, [group, generation, id, null], this.pool)
    this.extend(began, 1)
  }

  private extend(began: number, leases: number): void {
    if (this.id !== '') this.validUntil = Math.max(this.validUntil, began + this.cluster.settings.lease * leases)
  }

  private async join(): Promise<void> {
    const { cluster, group } = this
    const { lease } = cluster.settings
    this.rejoin = false
    const began = performance.now()
    // While it waits for others the group does not count its time.
    this.extend(began, 2)
    const metadata = cluster.client.encodeConsumerProtocolSubscription({
      version: 3,
      topics: [...this.topics],
      userData: Buffer.alloc(0),
      ownedPartitions: grouped(this.host.owned),
      generationId: this.generation,
      rackId: null,
    })
    const ask = (id: string) =>
      cluster.askCoordinator(
        group,
        cluster.apis.joinGroup,
        [group, lease, lease, id, null, PROTOCOL_TYPE, [{ name: PROTOCOL, metadata }], null],
        this.pool,
      )
    const joined = await ask(this.id).catch((error: unknown) => {
      // The group gives a newcomer its name first.
      const { response } = error as { response?: { memberId?: string } }
      if (!isApi(error, 'MEMBER_ID_REQUIRED') || response?.memberId === undefined) throw error
      this.id = response.memberId
      return ask(this.id)
    })
    if (this.closed) return
    this.id = joined.memberId
    this.generation = joined.generationId
    const lead = joined.leader === joined.memberId
    const plan = lead ? await this.plan(joined.members) : []
    const synced = performance.now()
    const request = [group, this.generation, this.id, null, PROTOCOL_TYPE, PROTOCOL, plan] as const
    const { assignment } = await cluster.askCoordinator(group, cluster.apis.syncGroup, [...request], this.pool)
    if (this.closed) return
    this.validUntil = synced + lease
    const { assignedPartitions } = cluster.client.decodeConsumerProtocolAssignment(assignment)
    this.host.assigned(
      assignedPartitions.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition }))),
    )
  }

  /** As the one that the group has chosen: who gets what. */
  private async plan(members: readonly { readonly memberId: string; readonly metadata: Buffer | null }[]) {
    const { client } = this.cluster
    const claims = members.map(({ memberId, metadata }) => {
      const { topics, ownedPartitions } = client.decodeConsumerProtocolSubscription(metadata ?? Buffer.alloc(0))
      const owned = ownedPartitions.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => ({ topic, partition })),
      )
      return { id: memberId, topics, owned }
    })
    const unknown = new Set(
      claims.flatMap(({ topics }) => topics).filter((topic) => this.cluster.known(topic) === undefined),
    )
    if (unknown.size > 0) await this.cluster.describe([...unknown])
    const shares = assign(claims, (topic) => this.cluster.known(topic)?.leaders.length ?? 0)
    return [...shares].map(([memberId, partitions]) => ({
      memberId,
      assignment: client.encodeConsumerProtocolAssignment({
        version: 1,
        assignedPartitions: grouped(partitions),
        userData: Buffer.alloc(0),
      }),
    }))
  }
}

function grouped(partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  return [...topics].map(([topic, some]) => ({ topic, partitions: some }))
}

function explained(group: string, error: unknown): Error {
  const options = { cause: error }
  if (isApi(error, 'INVALID_SESSION_TIMEOUT')) {
    return new BrokerError(
      `option 'lease' is outside of what the server allows ('group.min.session.timeout.ms', 6,000 by default, and 'group.max.session.timeout.ms')`,
      options,
    )
  }
  if (isApi(error, 'GROUP_AUTHORIZATION_FAILED')) {
    return new BrokerError(`this user may not read as group ${group}: allow it Read on the group`, options)
  }
  if (isApi(error, 'INCONSISTENT_GROUP_PROTOCOL')) {
    return new BrokerError(
      `group ${group} has members of another program, which share partitions in another way`,
      options,
    )
  }
  return new BrokerError(`group ${group} could not be joined: ${reasonOf(error)}`, options)
}
