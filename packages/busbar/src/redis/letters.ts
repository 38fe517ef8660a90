import type { Failure } from '../broker/index.ts'
import { run } from './connection.ts'
import type { RedisContext } from './context.ts'
import type { EncodedMessage } from '../message/message.ts'
import { type Field, toFields } from './wire.ts'

/** Partition of what was set aside for broadcast members: no owner of a lease ever sees it. */
export const BROADCAST = 'b'

export interface SetAside {
  readonly group: string
  readonly topic: string
  readonly partition: number | string
  readonly state: 'due' | 'dead'
  readonly message: EncodedMessage
  /** For people: `3@1700000000000-0`. */
  readonly place: string
  /** Unix milliseconds. */
  readonly dueAt: number
  readonly redeliveries?: number
  readonly failure?: Failure
}

/** Sets a message aside that was never in line of its group. */
export async function putAside(context: RedisContext, one: SetAside): Promise<void> {
  const { group, topic, failure, message } = one
  const { keys, redis } = context
  const where: Field[] = [group, String(one.partition), one.state, String(one.dueAt), message.key ?? '', one.place]
  const counts: Field[] = [one.redeliveries ?? 0, failure?.attempts ?? 0, failure?.firstFailedAt ?? ''].map(String)
  const about: Field[] = [...where, ...counts, failure === undefined ? '' : JSON.stringify(failure)]
  await run(redis, 'busbarPut', [keys.group(topic, group), keys.base(topic), ...about, ...toFields(message)])
}
