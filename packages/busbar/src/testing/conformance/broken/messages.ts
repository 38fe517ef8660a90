import { MessageTooLargeError } from '../../../message/index.ts'
import type { EncodedMessage } from '../../../message/message.ts'
import { altered, sending } from './altered.ts'
import type { Defect } from './defect.ts'

/** Changing what goes through. */
export const messageDefects: readonly Defect[] = [
  {
    does: 'treats every body as text',
    base: 'memory',
    caughtBy: 'a body of all 256 bytes comes back as it was',
    saying: /body/,
    wrap: (broker) => sending(broker, ({ message, ...rest }) => ({ ...rest, message: asText(message) })),
  },
  {
    does: 'drops headers that it does not know',
    base: 'memory',
    caughtBy: 'a hundred headers, empty and long ones too, come back as they were',
    saying: /metadata/,
    wrap: (broker) =>
      sending(broker, ({ message, ...rest }) => {
        const { correlationId } = message.metadata
        return { ...rest, message: { ...message, metadata: { correlationId } } }
      }),
  },
  {
    does: 'drops the trace headers',
    base: 'memory',
    caughtBy: 'trace headers come back as they were',
    saying: /traceparent/,
    wrap: (broker) =>
      sending(broker, ({ message, ...rest }) => {
        const { traceparent: _, ...metadata } = message.metadata
        return {
          ...rest,
          message: { ...message, metadata: { ...metadata, correlationId: message.metadata.correlationId } },
        }
      }),
  },
  {
    does: 'keeps times to the second',
    base: 'memory',
    caughtBy: 'id, type, source, time to the millisecond, version and revision come back as they were',
    saying: /time: '.*\.000Z'/,
    wrap: (broker) =>
      sending(broker, ({ message, ...rest }) => {
        const time = new Date(Math.floor(message.time.getTime() / 1_000) * 1_000)
        return { ...rest, message: { ...message, time } }
      }),
  },
  {
    does: 'makes the subject of the key',
    base: 'memory',
    caughtBy: 'what a message does not have stays absent, and a key that differs from the subject stays so',
    saying: /subject/,
    wrap: (broker) =>
      sending(broker, ({ message, ...rest }) => ({
        ...rest,
        message: { ...message, subject: message.subject ?? message.key },
      })),
  },
  {
    does: 'gives messages an id of its own',
    base: 'memory',
    caughtBy: 'delivers each of 100 published messages as it was published',
    saying: /100 never came/,
    wrap: (broker) => {
      let count = 0
      return sending(broker, ({ message, ...rest }) => ({ ...rest, message: { ...message, id: `own-${++count}` } }))
    },
  },
  {
    does: 'sends what comes before a message that is too large',
    base: 'sqlite',
    caughtBy: 'a message over the size limit is refused before anything of its batch is sent',
    saying: /a part of the refused batch was sent/,
    wrap: (broker) =>
      altered(broker, {
        async publish(batch) {
          for (const one of batch) {
            const size = typeof one.message.body === 'string' ? one.message.body.length : 0
            if (size > broker.capabilities.maxMessageBytes) throw new MessageTooLargeError('too large')
            await broker.publish([one])
          }
        },
      }),
  },
]

function asText(message: EncodedMessage): EncodedMessage {
  if (!(message.body instanceof Uint8Array)) return message
  return { ...message, body: new TextEncoder().encode(new TextDecoder().decode(message.body)) }
}
