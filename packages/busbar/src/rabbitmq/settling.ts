import { randomUUID } from 'node:crypto'
import { BrokerError, type DeadLetterStore, type Verdict } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import { type Again, againHeaders } from './again.ts'
import type { RabbitContext } from './context.ts'
import type { HandedOut } from './delivery.ts'
import type { Topic } from './topology.ts'
import { toWire } from './wire.ts'

/** What verdicts are stored in. */
export interface Stores {
  readonly context: RabbitContext
  readonly deadLetters: Pick<DeadLetterStore, 'put'>
}

export interface Place {
  readonly group: string
  readonly topic: Topic
  readonly partition: number
}

/**
 * Stores one verdict. The message itself is acked afterwards: a crash between the two makes it come twice, and never not at all.
 */
export async function storeVerdict(
  { context, deadLetters }: Stores,
  at: Place,
  delivery: HandedOut,
  verdict: Verdict,
): Promise<void> {
  const { message, begun, redeliveries, crashes, position } = delivery
  if ('redeliver' in verdict) {
    const { after, attempts, firstFailedAt } = verdict.redeliver
    await sendAgain(context, at, message, {
      entry: randomUUID(),
      due: after > 0 ? Math.ceil(Date.now() + after) : 0,
      attempts: Math.max(begun, attempts),
      redeliveries: redeliveries + 1,
      crashes,
      firstFailedAt: delivery.firstFailedAt ?? firstFailedAt,
      place: position,
    })
  }
  if ('deadLetter' in verdict) {
    const { deadLetter: failure } = verdict
    await deadLetters.put({
      group: at.group,
      topic: at.topic.name,
      position,
      message,
      failure: { ...failure, attempts: Math.max(begun, failure.attempts) },
      redeliveries,
    })
  }
}

/** Gives a message to one group alone, now or when it is due. Resolves when it is confirmed. */
export async function sendAgain(
  { names, sender }: RabbitContext,
  { group, topic, partition }: Place,
  message: EncodedMessage,
  again: Again,
): Promise<void> {
  const { content, options } = toWire(message)
  const headers = { ...options.headers, ...againHeaders(again) }
  const exchange = again.due > Date.now() ? names.later(topic.name, group) : names.group(topic.name, group)
  const taken = await sender.send(exchange, String(partition), content, { ...options, headers, mandatory: true })
  if (!taken)
    throw new BrokerError(`there is no group ${group} on topic ${topic.name} that could take message ${message.id}`)
}
