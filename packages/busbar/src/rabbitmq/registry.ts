import type { RabbitContext } from './context.ts'
import { Shelf } from './shelf.ts'

/** What there is in a deployment. */
export interface Deployment {
  /** Topics with their partitions. */
  readonly topics: ReadonlyMap<string, number>
  /** Topics of each group. */
  readonly groups: ReadonlyMap<string, ReadonlySet<string>>
  /** Groups with a queue for dead letters. */
  readonly letters: ReadonlySet<string>
}

type Record =
  | { readonly topic: string; readonly partitions: number }
  | { readonly group: string; readonly of: string }
  | { readonly letters: string }

/**
 * Which topics and groups there are. AMQP can look at a queue whose name is known, and has no way to list them. Nothing is routed by
 * it: it serves metrics, dead letters of all groups, `deleteGroup` and `verify`.
 */
export class Registry {
  private readonly shelf: Shelf
  private readonly told = new Set<string>()

  constructor(context: RabbitContext) {
    this.shelf = new Shelf(context, context.names.registry)
  }

  async start(): Promise<void> {
    await this.shelf.make()
  }

  addTopic(topic: string, partitions: number): Promise<void> {
    return this.once({ topic, partitions })
  }

  addLetters(group: string): Promise<void> {
    return this.once({ letters: group })
  }

  /** Each time: the group may have been deleted by another process. */
  addGroup(group: string, topic: string): Promise<void> {
    return this.put({ group, of: topic })
  }

  async read(): Promise<Deployment> {
    return this.hold((deployment) => deployment)
  }

  /** Resolves to the topics that the group had. */
  async removeGroup(group: string, remove: (topics: readonly string[]) => Promise<void>): Promise<void> {
    await this.hold(async ({ groups }, forget) => {
      await remove([...(groups.get(group) ?? [])])
      forget((record) => 'group' in record && record.group === group)
    })
  }

  private async once(record: Record): Promise<void> {
    const text = JSON.stringify(record)
    if (this.told.has(text)) return
    await this.put(record)
    this.told.add(text)
  }

  private put(record: Record): Promise<void> {
    return this.shelf.put(Buffer.from(JSON.stringify(record)))
  }

  private async hold<T>(
    act: (deployment: Deployment, forget: (which: (record: Record) => boolean) => void) => T | Promise<T>,
  ): Promise<T> {
    const topics = new Map<string, number>()
    const groups = new Map<string, Set<string>>()
    const letters = new Set<string>()
    const kept = new Map<string, { readonly record: Record; readonly remove: () => void }>()
    return this.shelf.hold(
      ({ received, remove }) => {
        const text = received.content.toString()
        // Each process that starts says it again.
        if (kept.has(text)) return remove()
        const record = JSON.parse(text) as Record
        kept.set(text, { record, remove })
        if ('letters' in record) letters.add(record.letters)
        else if ('topic' in record) topics.set(record.topic, record.partitions)
        else groups.set(record.group, (groups.get(record.group) ?? new Set()).add(record.of))
      },
      () =>
        act({ topics, groups, letters }, (which) => {
          for (const { record, remove } of kept.values()) if (which(record)) remove()
        }),
    )
  }
}
