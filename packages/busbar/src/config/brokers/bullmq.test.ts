import { expect, test } from 'vitest'
import { brokerSettings } from '../config.ts'
import { BROKERS } from './index.ts'

const settingsOf = (url: string, env: Record<string, string> = {}): Record<string, unknown> =>
  brokerSettings(url, env).settings

test('bullmq: and bullmqs: name it, with the options of Busbar as parameters', () => {
  expect(brokerSettings('bullmqs://me:secret@a:1/2?lease=500&ageing=9&family=6', {})).toEqual({
    type: 'bullmq',
    settings: { url: 'bullmqs://me:secret@a:1/2?family=6', lease: 500, ageing: 9 },
  })
})

test('host, port, password and db go to the client, and tls: true means TLS with its defaults', () => {
  const bullmq = { host: 'a', port: 1, username: 'me', password: 'p', db: 2, tls: true, client: { family: 6 } } as const
  const client = { family: 6, host: 'a', port: 1, username: 'me', password: 'p', db: 2, tls: {} }
  expect(brokerSettings({ type: 'bullmq', bullmq }, {}).settings).toEqual({ client })
})

test('every setting that is text or a number has an environment variable', () => {
  const env = {
    BUSBAR_BULLMQ_HOST: 'a',
    BUSBAR_BULLMQ_PORT: '1',
    BUSBAR_BULLMQ_USERNAME: 'me',
    BUSBAR_BULLMQ_PASSWORD: 'p',
    BUSBAR_BULLMQ_DB: '2',
    BUSBAR_BULLMQ_TLS: 'true',
    BUSBAR_BULLMQ_PREFIX: 'x',
    BUSBAR_BULLMQ_LEASE: '500',
    BUSBAR_BULLMQ_AGEING: '9',
    BUSBAR_BULLMQ_MAX_EVENTS: '7',
  }
  const client = { host: 'a', port: 1, username: 'me', password: 'p', db: 2, tls: {} }
  const settings = { prefix: 'x', lease: 500, ageing: 9, maxEvents: 7, client }
  expect(brokerSettings({ type: 'bullmq' }, env).settings).toEqual(settings)
})

test('a server that is named by hand is not mixed with the one of the environment', () => {
  const env = { BUSBAR_BULLMQ_URL: 'bullmq://env:1', BUSBAR_BULLMQ_HOST: 'env', BUSBAR_BULLMQ_PASSWORD: 'p' }
  expect(settingsOf('bullmq://mine:2', env)).toEqual({ url: 'bullmq://mine:2', client: { password: 'p' } })
  const named = brokerSettings({ type: 'bullmq', bullmq: { host: 'mine' } }, env).settings
  expect(named).toEqual({ client: { host: 'mine', password: 'p' } })
})

test('a wrong option is named, a password never', () => {
  expect(() => settingsOf('bullmq://a?lease=1')).toThrow(/lease' must be a whole number from 100/)
  expect(() => settingsOf('bullmq://a?partitions=1')).toThrow(/partitions.*known here: .*lease/)
  const wrong = { type: 'bullmq', bullmq: { password: 7 as never } } as const
  expect(() => brokerSettings(wrong, {})).toThrow(/password.*not shown/)
})

test('the broker is loaded when it is asked for', async () => {
  const broker = await BROKERS.bullmq.load(settingsOf('bullmq://me:secret@a:1'))
  expect(broker.name).toBe('bullmq')
  await expect(broker.publish([])).rejects.toThrow(/bullmq broker of redis:\/\/a:1 was not started/)
})
