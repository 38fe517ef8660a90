import { createServer } from 'node:net'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { NatsBroker } from './index.ts'

test('a server that is away is tried until the time is up, and the error names the settings', async () => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  const { port } = holder.address() as { port: number }
  holder.close()
  await once(holder, 'close')
  const told: object[] = []
  const logger = { warn: (fields: object) => void told.push(fields), error() {} }
  const broker = new NatsBroker({ servers: `nats://me:secret@127.0.0.1:${port}`, connectTimeout: 300, logger })
  const error = await broker.start().then(
    () => undefined,
    (reason: unknown) => reason as Error,
  )
  expect(error?.name).toBe('BrokerError')
  expect(error?.message).toMatch(/'connectTimeout'.*'servers'/)
  expect(error?.message).not.toContain('secret')
  expect(told).toHaveLength(1)
  expect(JSON.stringify(told)).not.toContain('secret')
})

test('a wrong option is refused by its name', () => {
  expect(() => new NatsBroker({ prefix: 'a.b' })).toThrow(/'prefix'/)
  expect(() => new NatsBroker({ lease: 1 })).toThrow(/'lease'/)
  expect(() => new NatsBroker({ partitions: 0 })).toThrow(/'partitions'/)
})
