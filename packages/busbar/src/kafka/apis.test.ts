import * as client from '@platformatic/kafka'
import { expect, test, vi } from 'vitest'
import { choose, type Range } from './apis.ts'

const newest = (more: Partial<Record<number, number>> = {}): Range[] =>
  Array.from({ length: 90 }, (_, apiKey) => ({ apiKey, minVersion: 0, maxVersion: more[apiKey] ?? 99 }))
const FETCH = 1

test('of each request the newest version that both sides know is taken', () => {
  expect(choose(client, newest()).fetch.version).toBe(17)
  expect(choose(client, newest({ [FETCH]: 14 })).fetch.version).toBe(14)
})

test('a server that is too old is refused with the version that will do', () => {
  expect(() => choose(client, newest({ [FETCH]: 12 }))).toThrow(/too old or too new.*Kafka 3\.1/)
  expect(() => choose(client, [])).toThrow(/Kafka 3\.1/)
})

test('without the client the error says how to install it', async () => {
  vi.resetModules()
  vi.doMock('@platformatic/kafka', () => {
    throw new Error('Cannot find package')
  })
  const { KafkaBroker } = await import('./index.ts')
  await expect(new KafkaBroker().start()).rejects.toMatchObject({
    name: 'ConfigurationError',
    message: expect.stringMatching(/npm install @platformatic\/kafka/) as string,
  })
  vi.doUnmock('@platformatic/kafka')
})
