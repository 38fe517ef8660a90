/**
 * Names of keys. All keys of a topic have the topic as their hash tag, so they live in one slot and one script may touch
 * them together:
 *
 * - `busbar:topics`: set of the topics' names
 * - `busbar:{topic}:meta`: hash, `partitions`
 * - `busbar:{topic}:<n>`: stream of partition n
 * - `busbar:{topic}:groups`: set of the groups that ever had a member or a message set aside
 * - `busbar:{topic}:signal`: short stream of hints: the name of a group that changed
 * - `busbar:{topic}:publisher:<id>`: number of the last batch of a publisher and what could not be appended of it
 * - `busbar:{topic}:grew`: channel of hints: who has appended, and to which partitions
 * - `busbar:{topic}:delayed`: sorted set of delayed messages by due time, each a hash `…:delayed:<number>`
 * - `busbar:{topic}:g:<group>`: hash of leases (`o:<n>` owner, `t:<n>` fencing token, `e:<n>` expiry), and behind it
 *   `:members`, `:marks:<n>`, `:due:<n>`, `:suspects:<n>`, `:handed:<n>`, `:lanes:<n>`, `:heads:<lane>`, `:parked:<lane>`,
 *   `:letters`, `:dead` and a hash `:a:<entry>` for each message set aside (see `scripts/prelude.ts`)
 */
export class Keys {
  readonly topics: string
  private readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
    this.topics = `${prefix}:topics`
  }

  /** What all keys of a topic begin with. */
  base(topic: string): string {
    return `${this.prefix}:{${topic}}:`
  }

  stream(topic: string, partition: number): string {
    return this.base(topic) + String(partition)
  }

  group(topic: string, group: string): string {
    return `${this.base(topic)}g:${group}`
  }

  channel(topic: string): string {
    return `${this.prefix}:${topic}`
  }
}
