import { expect, test } from 'vitest'
import { BrokerError } from '../broker/index.ts'
import type { RabbitContext } from './context.ts'
import { RefusedError } from './errors.ts'
import { Shelf } from './shelf.ts'

interface Sent {
  readonly text: string
  readonly messageId: string
}

/** A server that answers the first messages with errors and takes the rest. A real one refuses only now and then. */
function refusing(...errors: Error[]): { readonly shelf: Shelf; readonly sent: Sent[] } {
  const sent: Sent[] = []
  const channel = { on() {}, assertQueue: async () => ({}), close: async () => {} }
  const context = {
    settings: { connectTimeout: 1_000 },
    consuming: { isOver: false, channel: async () => channel },
    sender: {
      async send(_exchange: string, _key: string, content: Buffer, { messageId = '' }: { messageId?: string }) {
        sent.push({ text: content.toString(), messageId })
        const error = errors.shift()
        if (error !== undefined) throw error
        return true
      },
    },
  } as unknown as RabbitContext
  return { shelf: new Shelf(context, 'letters'), sent }
}

test('what a queue without a leader refuses is sent again as it is', async () => {
  const { shelf, sent } = refusing(new RefusedError('letters'), new RefusedError('letters'))
  await shelf.put(Buffer.from('letter'))
  expect(sent.map(({ text }) => text)).toEqual(['letter', 'letter', 'letter'])
  expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(1)
})

test('a queue that goes on refusing, and any other error, is told', async () => {
  const full = refusing(...Array.from({ length: 1_000 }, () => new RefusedError('letters')))
  await expect(full.shelf.put(Buffer.from('letter'))).rejects.toThrow(/refused a message for letters/)
  const away = refusing(new BrokerError('away'))
  await expect(away.shelf.put(Buffer.from('letter'))).rejects.toThrow('away')
  expect(away.sent).toHaveLength(1)
})
