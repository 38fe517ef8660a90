import { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import { expect, test } from 'vitest'
import type { Connector } from './connection.ts'
import { Hints } from './hints.ts'
import { Link } from './link.ts'
import { PreparedStatements } from './statements.ts'

class FakeClient extends EventEmitter {
  ended = 0
  private readonly asked: (text: string) => Promise<void>

  constructor(asked: (text: string) => Promise<void> = async () => {}) {
    super()
    this.asked = asked
  }

  async query(text: string): Promise<void> {
    await this.asked(text)
  }

  async end(): Promise<void> {
    this.ended++
    this.emit('end')
  }
}

function connectorOf(client: FakeClient): Connector & { closed: boolean } {
  const connect = async (): Promise<Client> => client as unknown as Client
  return { connect, closed: false, where: 'here' } as unknown as Connector & { closed: boolean }
}

test('a connection that is ready only after the stop is ended, and nobody gets it', async () => {
  const client = new FakeClient()
  const connector = connectorOf(client)
  const link = new Link(connector, new PreparedStatements())
  link.onConnect = async () => {
    connector.closed = true
    await link.close()
  }
  await expect(link.open()).rejects.toThrow('the broker was stopped')
  expect(client.ended).toBe(1)
  expect(link.isOpen).toBe(false)
})

test('a stop while the listening connection is being made ends', async () => {
  const listening = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const client = new FakeClient(async (text) => {
    if (!text.startsWith('LISTEN')) return
    listening.resolve()
    await go.promise
  })
  const connector = connectorOf(client)
  const hints = new Hints(connector, 'busbar', 100, { warn: () => {}, error: () => {} })
  hints.start()
  await listening.promise
  connector.closed = true
  const closed = hints.close()
  go.resolve()
  await closed
  expect(client.ended).toBe(1)
})
