import type { Redis } from 'ioredis'
import { type Outgoing, PublishError } from '../broker/index.ts'
import { type Reply, text } from './connection.ts'
import { type CommandClass, Frame, FramedScript } from './frame.ts'
import type { Keys } from './keys.ts'
import { toPayload } from './pubsub-wire.ts'
import { publishOnChannels } from './scripts/channels.ts'
import type { Field } from './wire.ts'

type Failed = PublishError['failed'][number]

/**
 * Most messages and most bytes (about) of one script, which bound the time that it holds the server. Nobody hears anything of a script
 * before it has ended: with small ones the server publishes the next while the last is being handled.
 */
const MOST = 50
const MOST_BYTES = 4 * 1024 * 1024

const script = new FramedScript({ lua: publishOnChannels, numberOfKeys: 0 })

/** A batch is a few scripts, each of which publishes one message after the other: one answer for many. */
export class PubSubPublisher {
  /** Messages that no process received. */
  unheard = 0

  private readonly redis: Redis
  private readonly command: CommandClass
  private readonly keys: Keys
  /** The user of this connection may run no scripts. */
  private plain = false

  constructor(redis: Redis, command: CommandClass, keys: Keys) {
    this.redis = redis
    this.command = command
    this.keys = keys
  }

  /** Resolves when the server has passed every message on. @throws PublishError */
  async publish(batch: readonly Outgoing[]): Promise<void> {
    const failed: Failed[] = []
    const payloads = batch.map(({ message }) => toPayload(message))
    await Promise.all(parts(payloads).map(([from, to]) => this.send(batch, payloads, from, to, failed)))
    if (failed.length === 0) return
    throw new PublishError(
      failed.toSorted((a, b) => a.index - b.index),
      batch.length,
    )
  }

  private async send(
    batch: readonly Outgoing[],
    payloads: readonly Field[],
    from: number,
    to: number,
    failed: Failed[],
  ): Promise<void> {
    const fail = (index: number, error: Error): void => {
      failed.push({ index, id: batch[index]?.message.id ?? '', error })
    }
    if (to - from > 1 && !this.plain) {
      try {
        const outcome = await this.together(batch, payloads, from, to)
        const lines = outcome.split('\n')
        this.unheard += Number(lines.pop())
        for (const line of lines) {
          const [index, ...reason] = line.split(' ')
          if (reason.length > 0) fail(from + Number(index), new Error(`Redis refused it: ${reason.join(' ')}`))
        }
        return
      } catch (error) {
        this.plain = /NOPERM/.test(String(error))
        if (!this.plain) {
          for (let index = from; index < to; index++) fail(index, error as Error)
          return
        }
      }
    }
    const each = batch.slice(from, to).map(async ({ topic }, at) => {
      try {
        const received = await this.redis.publish(this.keys.channel(topic), payloads[from + at] as Field)
        if (received === 0) this.unheard++
      } catch (error) {
        fail(from + at, error as Error)
      }
    })
    await Promise.all(each)
  }

  private async together(
    batch: readonly Outgoing[],
    payloads: readonly Field[],
    from: number,
    to: number,
  ): Promise<string> {
    const args: Field[] = []
    for (let index = from; index < to;) {
      const topic = batch[index]?.topic as string
      let end = index + 1
      while (end < to && batch[end]?.topic === topic) end++
      args.push(this.keys.channel(topic), String(end - index), ...payloads.slice(index, end))
      index = end
    }
    if (args.some((arg) => typeof arg !== 'string'))
      return text((await this.redis.callBuffer('EVAL', [publishOnChannels, '0', ...args])) as Reply)
    return text(await script.evaluate(this.redis, this.command, new Frame(args as string[])))
  }
}

/** From where to where each script goes. */
function parts(payloads: readonly Field[]): (readonly [number, number])[] {
  const found: [number, number][] = []
  let from = 0
  let bytes = 0
  for (const [index, { length }] of payloads.entries()) {
    if (index > from && (index - from === MOST || bytes + length > MOST_BYTES)) {
      found.push([from, index])
      from = index
      bytes = 0
    }
    bytes += length
  }
  if (payloads.length > from) found.push([from, payloads.length])
  return found
}
