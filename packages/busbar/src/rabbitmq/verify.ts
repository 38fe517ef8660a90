import { type RabbitContext, withChannel } from './context.ts'
import type { Registry } from './registry.ts'
import { currentOf, declare, PRESENCE, SHELF, type Topology, type Wanted } from './topology.ts'

/** One setting of the server that differs from what this broker would have made. */
export interface Difference {
  /** The queue or exchange. */
  readonly name: string
  /** As RabbitMQ calls it: `x-queue-type`, `durable`, `type` … */
  readonly setting: string
  readonly expected: unknown
  /** In the server's words. */
  readonly found: unknown
}

interface VerifyParts {
  readonly context: RabbitContext
  readonly registry: Registry
  readonly topology: Topology
}

/**
 * Declares everything of the deployment as this broker would, which changes nothing where it is the same (and makes what is missing). The
 * server names the first setting of each that differs.
 */
export async function verify({ context, registry, topology }: VerifyParts): Promise<Difference[]> {
  const { names, settings } = context
  const deployment = await registry.read()
  const wanted: Wanted[] = [
    { name: names.registry, kind: 'queue', args: SHELF },
    { name: names.brokers, kind: 'queue', args: PRESENCE },
    { name: names.talk, kind: 'fanout', args: {} },
  ]
  for (const name of deployment.topics.keys()) {
    wanted.push(topology.partitionsPart(name, settings.partitions), ...topology.topicParts(name))
  }
  for (const [group, topics] of deployment.groups) {
    for (const topic of await topology.ensure([...topics])) wanted.push(...topology.groupParts(topic, group))
  }
  for (const group of deployment.letters) wanted.push({ name: names.letters(group), kind: 'queue', args: SHELF })
  const differences: Difference[] = []
  for (const one of wanted) {
    const difference = await differs(context, one)
    if (difference !== undefined) differences.push(difference)
  }
  return differences
}

async function differs(context: RabbitContext, one: Wanted): Promise<Difference | undefined> {
  try {
    await withChannel(context, `verify ${one.name}`, (channel) => declare(channel, one))
    return undefined
  } catch (error) {
    const { message } = error as Error
    const setting = /inequivalent arg '([^']*)'/.exec(message)?.[1]
    if (setting === undefined) throw error
    const expected = setting === 'type' ? one.kind : setting === 'durable' ? true : one.args[setting]
    return { name: one.name, setting, expected, found: currentOf(message, setting) }
  }
}
