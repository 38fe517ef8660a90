import { describe, expect, test } from 'vitest'
import { brokerSettings } from '../config.ts'
import { BROKERS } from './index.ts'

const settingsOf = (url: string, env: Record<string, string> = {}): Record<string, unknown> =>
  brokerSettings(url, env).settings

describe('NATS', () => {
  test('nats: and tls: name it, with the options of Busbar as parameters and several hosts', () => {
    expect(brokerSettings('tls://me:secret@a:1,b:2?lease=500&partitions=4&prefix=shop', {})).toEqual({
      type: 'nats',
      settings: { servers: 'tls://me:secret@a:1,b:2', lease: 500, partitions: 4, prefix: 'shop' },
    })
    expect(settingsOf('nats://a')).toEqual({ servers: 'nats://a' })
  })

  test('every setting that is text or a number has an environment variable', () => {
    const env = {
      BUSBAR_NATS_URL: 'nats://a:1',
      BUSBAR_NATS_USER: 'me',
      BUSBAR_NATS_PASSWORD: 'p',
      BUSBAR_NATS_TOKEN: 't',
      BUSBAR_NATS_CREDENTIALS: '/a.creds',
      BUSBAR_NATS_NKEY: 'SU',
      BUSBAR_NATS_TLS: 'true',
      BUSBAR_NATS_PREFIX: 'x',
      BUSBAR_NATS_CONNECT_TIMEOUT: '1',
      BUSBAR_NATS_REQUEST_TIMEOUT: '100',
      BUSBAR_NATS_LEASE: '500',
      BUSBAR_NATS_PARTITIONS: '4',
      BUSBAR_NATS_REPLICAS: '3',
      BUSBAR_NATS_MAX_AGE: '9',
      BUSBAR_NATS_MAX_BYTES: '-1',
      BUSBAR_NATS_DUPLICATE_WINDOW: '100',
      BUSBAR_NATS_MAX_MESSAGE_BYTES: '7',
    }
    const expected = {
      servers: 'nats://a:1',
      user: 'me',
      password: 'p',
      token: 't',
      credentials: '/a.creds',
      nkey: 'SU',
      tls: true,
      prefix: 'x',
      connectTimeout: 1,
      requestTimeout: 100,
      lease: 500,
      partitions: 4,
      replicas: 3,
      maxAge: 9,
      maxBytes: -1,
      duplicateWindow: 100,
      maxMessageBytes: 7,
    }
    expect(brokerSettings({ type: 'nats' }, env).settings).toEqual(expected)
  })

  test('several servers and what only code can give are taken as they are', () => {
    const nats = { servers: ['nats://a', 'nats://b'], tls: { caFile: 'ca.pem' }, client: { inboxPrefix: '_IN' } }
    expect(brokerSettings({ type: 'nats', nats }, {}).settings).toEqual(nats)
  })

  test('a wrong option is named, an address or password never shown', () => {
    expect(() => settingsOf('nats://a?lease=1')).toThrow(/lease' must be a whole number from 100/)
    const wrong = { type: 'nats', nats: { servers: [7] as never, password: 'secret' } } as const
    expect(() => brokerSettings(wrong, {})).toThrow(/servers' must be an address.*not shown/)
    expect(() => settingsOf('nats://me:secret@a?unknown=1')).toThrow(/unknown.*known here: servers/)
    expect(() => settingsOf('nats://me:secret@a?unknown=1')).not.toThrow(/secret/)
  })

  test('the broker is loaded when it is asked for', async () => {
    expect((await BROKERS.nats.load(settingsOf('nats://a?prefix=x'))).name).toBe('nats')
    await expect(BROKERS.nats.load(settingsOf('nats://me:secret@a/path'))).rejects.toThrow(/'servers'/)
  })
})
