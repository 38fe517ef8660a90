import type { Redis } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import { AGEING } from './priority.ts'
import type { Queue, Queues } from './queues.ts'
import { run } from './scripts.ts'

/** What the names of groups that go with their only member begin with. */
export const TEMPORARY = '~'

/** How long a group that is being forgotten cannot be subscribed. Milliseconds. */
const FORGETTING = 60_000

interface Entry {
  readonly group: string
  readonly topic: string
  /** It goes with its only member. */
  readonly temporary?: true
}

/**
 * Who gets what: the groups of each topic, kept in Redis. Every change makes a new version. A publisher may work with what it
 * knows as long as it asks for the version *after* it has added its jobs: then a group that came in between is seen, and
 * gets what it lacks before anything is confirmed.
 */
export class Registry {
  private readonly redis: Redis
  private readonly queues: Queues
  private readonly prefix: string
  private topics = new Map<string, readonly Queue[]>()
  private names = new Set<string>()
  private known: string | undefined
  private loading: Promise<void> | undefined

  constructor(redis: Redis, queues: Queues, prefix: string) {
    this.redis = redis
    this.queues = queues
    this.prefix = prefix
  }

  /** Key of the counter of changes. */
  get versionKey(): string {
    return `${this.prefix}:registry:version`
  }

  /** Queues that ever held a dead letter; these outlive their groups. */
  get shelvesKey(): string {
    return `${this.prefix}:shelves`
  }

  /** The version that this process knows; undefined before the first look. */
  get version(): string | undefined {
    return this.known
  }

  queuesOf(topic: string): readonly Queue[] {
    return this.topics.get(topic) ?? []
  }

  has(queue: Queue): boolean {
    return this.names.has(queue.name)
  }

  /** What is known is old. */
  expire(): void {
    this.known = undefined
  }

  load(): Promise<void> {
    this.loading ??= this.read().finally(() => (this.loading = undefined))
    return this.loading
  }

  /** A member comes or gives a sign of life. Resolves when every publisher has to see it. */
  async enter(
    member: string,
    group: string,
    queues: readonly Queue[],
    lease: number,
    temporary: boolean,
  ): Promise<void> {
    const entries = queues.flatMap(({ name, group: owner, topic }) => {
      const entry: Entry = { group: owner, topic, ...(temporary ? { temporary } : {}) }
      return [name, JSON.stringify(entry)]
    })
    const args = [...this.keys(group), member, Math.ceil(lease), ...entries]
    while (Number(await run(this.redis, 'busbarEnter', args)) === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async leave(member: string, group: string, temporary: readonly Queue[]): Promise<void> {
    await run(this.redis, 'busbarLeave', [...this.keys(group), member, ...temporary.map(({ name }) => name)])
  }

  /** @throws BrokerError while the group has members. */
  async forget(group: string): Promise<void> {
    const queues = [...(await this.entries()), ...(await this.shelves())]
      .filter((entry) => entry.group === group)
      .map(({ topic }) => this.queues.of(group, topic))
    const args = [...this.keys(group), FORGETTING, ...queues.map(({ name }) => name)]
    const members = Number(await run(this.redis, 'busbarStrikeOff', args))
    if (members > 0) throw new BrokerError(`group ${group} has ${members} members; stop them before deleting it`)
    for (const queue of queues) await this.empty(queue)
    await this.redis.del(this.keys(group)[0] as string)
  }

  /** Queues of members that died and whose copies nobody wants any more. */
  async sweep(): Promise<void> {
    for (const { group, topic, temporary } of await this.entries()) {
      if (temporary !== true) continue
      const queue = this.queues.of(group, topic)
      const members = Number(await run(this.redis, 'busbarStrikeOff', [...this.keys(group), 0, queue.name]))
      if (members === 0) await this.obliterate(queue)
      this.queues.forget(queue)
    }
  }

  /** All groups and topics that get messages. */
  async entries(): Promise<readonly Entry[]> {
    const all = await this.redis.hvals(`${this.prefix}:registry`)
    return all.map((one) => JSON.parse(one) as Entry)
  }

  /** All groups and topics that may have dead letters. */
  async shelves(): Promise<readonly Entry[]> {
    const all = await this.redis.hvals(this.shelvesKey)
    return all.map((one) => JSON.parse(one) as Entry)
  }

  /** Deletes a queue with all that is in it. */
  async obliterate(queue: Queue): Promise<void> {
    await this.empty(queue)
    const { backend, index } = queue
    await this.redis.unlink(index, backend.toKey(AGEING), ...Object.values(backend.keys))
    this.queues.forget(queue)
  }

  /** Jobs that wait, are delayed or were left behind by the dead; letters stay. */
  private async empty({ backend }: Queue): Promise<void> {
    await backend.drain(true)
    const { active, stalled } = backend.keys
    while (Number(await run(this.redis, 'busbarClear', [active as string, backend.toKey('')])) > 0);
    await this.redis.del(stalled as string)
  }

  private async read(): Promise<void> {
    // The version first: what is read after it is at least as new.
    const replies = await this.redis.pipeline().get(this.versionKey).hvals(`${this.prefix}:registry`).exec()
    const [version, all] = (replies ?? []).map(([error, reply]) => {
      if (error !== null) throw error
      return reply
    })
    const topics = new Map<string, Queue[]>()
    this.names = new Set()
    for (const one of all as readonly string[]) {
      const { group, topic } = JSON.parse(one) as Entry
      const queue = this.queues.of(group, topic)
      this.names.add(queue.name)
      const others = topics.get(topic)
      if (others === undefined) topics.set(topic, [queue])
      else others.push(queue)
    }
    this.topics = topics
    this.known = (version as string | null) ?? ''
  }

  private keys(group: string): string[] {
    return [`${this.prefix}:members:${group}`, `${this.prefix}:registry`, this.versionKey]
  }
}
