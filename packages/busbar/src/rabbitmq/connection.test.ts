import { expect, test, vi } from 'vitest'
import { RabbitMqBroker } from './index.ts'

test('a client that is not installed is named with the command that installs it', async () => {
  vi.doMock('amqplib', () => {
    throw Object.assign(new Error("Cannot find package 'amqplib'"), { code: 'ERR_MODULE_NOT_FOUND' })
  })
  const broker = new RabbitMqBroker({ connectTimeout: 0 })
  const error = await broker.start().catch((reason: unknown) => reason as Error)
  expect(error).toMatchObject({ name: 'ConfigurationError' })
  expect((error as Error).message).toMatch(/npm install amqplib/)
})
