import { EventEmitter } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { patience, silent, spec } from './fixtures/messages.ts'
import { Names } from './names.ts'
import { GroupMember, type MemberParts } from './subscription.ts'

class FakeChannel extends EventEmitter {
  private readonly consumed: (queue: string) => void

  constructor(consumed: (queue: string) => void) {
    super()
    this.consumed = consumed
  }

  async prefetch(): Promise<void> {}

  async checkQueue(): Promise<void> {}

  async consume(queue: string): Promise<void> {
    this.consumed(queue)
  }

  async close(): Promise<void> {
    this.emit('close')
  }
}

test('a member whose connection breaks before it has taken a partition takes its share when the connection is back', async () => {
  const consumed = new Set<string>()
  const consuming = {
    isUp: true,
    isOver: false,
    up: Promise.withResolvers<void>(),
    ready: () => (consuming.isUp ? Promise.resolve() : consuming.up.promise),
    channel: async () => new FakeChannel((queue) => void consumed.add(queue)),
  }
  const mine: string[] = []
  const parts = {
    context: { names: new Names('p'), logger: silent, consuming, settings: {}, sender: {} },
    topology: {
      ensure: async (names: readonly string[]) => names.map((name) => ({ name, exchange: name, partitions: 3 })),
      makeGroup: async () => {},
      forget: () => {},
    },
    registry: { addGroup: async () => {} },
    roster: {
      onChange: () => () => {},
      join: ({ id }: { id: string }) => void mine.push(id),
      leave: () => {},
      membersOf: () => mine,
    },
    stores: {},
    vigil: { doubtful: false, sure: async () => {} },
  } as unknown as MemberParts
  const member = new GroupMember(
    parts,
    spec(),
    () => ({ ack: true }),
    () => {},
  )
  onTestFinished(() => member.stop({ deadline: 0 }))
  await member.start()
  consuming.isUp = false
  const queues = [0, 1, 2].map((n) => `p:orders:g:${n}`)
  expect([...consumed]).not.toEqual(expect.arrayContaining(queues))
  // The moment at which it would have taken its share passes without a connection.
  await new Promise((resolve) => setTimeout(resolve, 200))
  consuming.isUp = true
  consuming.up.resolve()
  await vi.waitFor(() => expect([...consumed]).toEqual(expect.arrayContaining(queues)), patience)
})
