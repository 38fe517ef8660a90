import type { Channel } from 'amqplib'
import type { BrokerLogger } from '../broker/logger.ts'
import { inTime, sleep } from './backoff.ts'
import { closed } from './channels.ts'
import type { Link } from './connection.ts'
import { codeOf, explain, isFinal } from './errors.ts'
import type { Names } from './names.ts'
import type { Settings } from './options.ts'
import type { Sender } from './sender.ts'

/** What the parts of one started broker share. */
export interface RabbitContext {
  readonly settings: Settings
  readonly names: Names
  readonly logger: BrokerLogger
  /**
   * Consumers, acks and declarations. Nothing is published on it, so that an alarm of the server, which stops connections that publish,
   * does not stop the acks that would end the alarm.
   */
  readonly consuming: Link
  readonly sender: Sender
}

/**
 * Does something with a channel of its own, which is closed afterwards: a refusal closes a channel, and must end nothing else. Done
 * again when the connection breaks.
 *
 * @throws BrokerError with the server's reason; `doing` ends the sentence "cannot …"
 */
export async function withChannel<T>(
  { consuming, settings }: Pick<RabbitContext, 'consuming' | 'settings'>,
  doing: string,
  act: (channel: Channel) => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + settings.connectTimeout
  for (;;) {
    let channel: Channel | undefined
    let refused: unknown
    try {
      const left = Math.max(0, deadline - performance.now())
      channel = await inTime(left, consuming.channel(), 'the RabbitMQ server is away')
      channel.on('error', (error: unknown) => {
        refused = error
      })
      return await act(channel)
    } catch (error) {
      const reason = refused ?? error
      const over = consuming.isOver || performance.now() > deadline
      if (over || isFinal(reason) || codeOf(reason) !== undefined) throw explain(reason, doing)
      await sleep(25)
    } finally {
      await closed(channel)
    }
  }
}

/** Messages that wait in a queue and its consumers; undefined where there is no such queue. */
export async function look(
  context: RabbitContext,
  queue: string,
): Promise<{ readonly messages: number; readonly consumers: number } | undefined> {
  try {
    const { messageCount, consumerCount } = await withChannel(context, `look at queue ${queue}`, (channel) =>
      channel.checkQueue(queue),
    )
    return { messages: messageCount, consumers: consumerCount }
  } catch (error) {
    if (codeOf((error as Error).cause) === 404) return undefined
    throw error
  }
}
