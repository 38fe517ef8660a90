import type { Channel, ChannelModel } from 'amqplib'
import { BrokerError } from '../broker/index.ts'
import { atMost, inTime } from './backoff.ts'

/** Milliseconds for the server to agree to the end of a connection or channel. */
export const GOODBYE = 1_000
/** Milliseconds for the server to answer anything: its own limit for what a channel asks of its queues. */
export const ANSWER = 15_000

/** What a channel asks and waits for. */
const ASKING = [
  'assertExchange',
  'assertQueue',
  'bindQueue',
  'checkExchange',
  'checkQueue',
  'consume',
  'deleteExchange',
  'deleteQueue',
  'get',
  'prefetch',
] as const

/** Resolves when the channel is closed, or soon. */
export async function closed(channel: Channel | undefined): Promise<void> {
  if (channel !== undefined) await atMost(GOODBYE, agreed(channel))
}

/** The end by agreement. Where the connection ends before the server could agree, the client's own promise never settles. */
export function agreed(one: Channel | ChannelModel): Promise<unknown> {
  const gone = new Promise<void>((resolve) => one.once('close', () => resolve()))
  return Promise.race([one.close(), gone])
}

/** Lets nobody wait for ever for an answer on a connection that lives. */
export function timely<C extends Channel>(channel: C): C {
  for (const name of ASKING) {
    const ask = channel[name].bind(channel) as (...args: readonly unknown[]) => Promise<unknown>
    const asked = (...args: readonly unknown[]): Promise<unknown> =>
      inTime(ANSWER, ask(...args), `the RabbitMQ server does not answer (${name})`).catch((error: unknown) => {
        if (error instanceof BrokerError) void closed(channel)
        throw error
      })
    Object.assign(channel, { [name]: asked })
  }
  return channel
}
