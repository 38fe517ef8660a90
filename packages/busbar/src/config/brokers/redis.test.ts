import { describe, expect, test } from 'vitest'
import { ConfigurationError } from '../../message/errors.ts'
import { addressOf, whereOf } from '../../ioredis/address.ts'
import { brokerSettings } from '../config.ts'
import { BROKERS } from './index.ts'

const settingsOf = (url: string, env: Record<string, string> = {}): Record<string, unknown> =>
  brokerSettings(url, env).settings

describe('Redis Streams', () => {
  test('redis: and rediss: name it, with the options of Busbar as parameters', () => {
    expect(brokerSettings('rediss://me:secret@a:1/2?lease=500&partitions=4&family=6&maxAge=9', {})).toEqual({
      type: 'redis',
      settings: {
        url: 'rediss://me:secret@a:1/2?family=6',
        lease: 500,
        partitions: 4,
        retention: { maxAge: 9 },
      },
    })
  })

  test('host, port, password and db say the same as a URL', () => {
    const redis = { host: 'a', port: 1, password: 'p', db: 2, tls: true } as const
    const { settings } = brokerSettings({ type: 'redis', redis }, {})
    expect(addressOf(settings)).toEqual({ host: 'a', port: 1, password: 'p', db: 2, tls: {} })
    expect(addressOf({ url: 'rediss://:p@a:1/2' })).toEqual(addressOf(settings))
  })

  test('every setting that is text or a number has an environment variable', () => {
    const env = {
      BUSBAR_REDIS_HOST: 'a',
      BUSBAR_REDIS_PORT: '1',
      BUSBAR_REDIS_USERNAME: 'me',
      BUSBAR_REDIS_PASSWORD: 'p',
      BUSBAR_REDIS_DB: '2',
      BUSBAR_REDIS_TLS: 'true',
      BUSBAR_REDIS_PREFIX: 'x',
      BUSBAR_REDIS_LEASE: '500',
      BUSBAR_REDIS_PARTITIONS: '4',
      BUSBAR_REDIS_MAX_AGE: '9',
    }
    expect(brokerSettings({ type: 'redis' }, env).settings).toEqual({
      host: 'a',
      port: 1,
      username: 'me',
      password: 'p',
      db: 2,
      tls: true,
      prefix: 'x',
      lease: 500,
      partitions: 4,
      retention: { maxAge: 9 },
    })
  })

  test('a server that is named by hand is not mixed with the one of the environment', () => {
    const env = { BUSBAR_REDIS_URL: 'redis://env:1', BUSBAR_REDIS_HOST: 'env', BUSBAR_REDIS_PASSWORD: 'p' }
    expect(settingsOf('redis://mine:2', env)).toEqual({ url: 'redis://mine:2', password: 'p' })
    const { settings } = brokerSettings({ type: 'redis', redis: { host: 'mine' } }, env)
    expect(settings).toEqual({ host: 'mine', password: 'p' })
  })

  test('the URL gives what is not named beside it', () => {
    const address = addressOf({ url: 'redis://me:a%40b@[::1]/3', db: 4, client: { password: 'c' } })
    expect(address).toEqual({ host: '::1', port: 6379, username: 'me', password: 'c', db: 4 })
  })

  test.each([
    ['redis://a:b:c', /url is no address/],
    ['redis://x/one', /number for db/],
  ])('%s is refused, and not shown', async (url, problem) => {
    const loading = BROKERS.redis.load(settingsOf(url))
    await expect(loading).rejects.toThrow(problem)
    await expect(loading).rejects.toBeInstanceOf(ConfigurationError)
    await expect(loading).rejects.not.toThrow(url)
  })

  test('a wrong option is named, a password never', () => {
    expect(() => settingsOf('redis://a?lease=1')).toThrow(/lease' must be a whole number from 100/)
    const wrong = { type: 'redis', redis: { password: 7 as never } } as const
    expect(() => brokerSettings(wrong, {})).toThrow(/password.*not shown/)
    expect(whereOf({ url: 'rediss://me:secret@a:1/2' })).toBe('rediss://a:1/2')
  })
})

describe('Redis Pub/Sub', () => {
  test('redis+pubsub: names it; the client gets the scheme that it knows', () => {
    expect(brokerSettings('rediss+pubsub://a:1?maxWaiting=5', {})).toEqual({
      type: 'redis-pubsub',
      settings: { url: 'rediss://a:1', maxWaiting: 5 },
    })
  })

  test('an option of Streams is refused', () => {
    expect(() => settingsOf('redis+pubsub://a?lease=500')).toThrow(/lease.*known here: .*maxWaiting/)
  })
})

test('the broker is loaded when it is asked for', async () => {
  expect((await BROKERS.redis.load(settingsOf('redis://a'))).name).toBe('redis-streams')
  expect((await BROKERS['redis-pubsub'].load(settingsOf('redis+pubsub://a'))).name).toBe('redis-pubsub')
})
