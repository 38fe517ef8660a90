import { describe, expect, test } from 'vitest'
import { brokerSettings } from '../config.ts'
import { BROKERS } from './index.ts'

const settingsOf = (url: string, env: Record<string, string> = {}): Record<string, unknown> =>
  brokerSettings(url, env).settings

describe('Kafka', () => {
  test('kafka: and kafkas: name it, with the options of Busbar as parameters and several hosts', () => {
    expect(brokerSettings('kafkas://me:secret@a:1,b:2?lease=6000&partitions=4&prefix=shop', {})).toEqual({
      type: 'kafka',
      settings: { brokers: 'kafkas://me:secret@a:1,b:2', lease: 6_000, partitions: 4, prefix: 'shop' },
    })
    expect(settingsOf('kafka://a')).toEqual({ brokers: 'kafka://a' })
  })

  test('every setting that is text or a number has an environment variable', () => {
    const env = {
      BUSBAR_KAFKA_URL: 'kafka://a:1',
      BUSBAR_KAFKA_USERNAME: 'me',
      BUSBAR_KAFKA_PASSWORD: 'p',
      BUSBAR_KAFKA_MECHANISM: 'SCRAM-SHA-512',
      BUSBAR_KAFKA_TLS: 'true',
      BUSBAR_KAFKA_PREFIX: '',
      BUSBAR_KAFKA_CLIENT_ID: 'shop',
      BUSBAR_KAFKA_CONNECT_TIMEOUT: '1',
      BUSBAR_KAFKA_REQUEST_TIMEOUT: '100',
      BUSBAR_KAFKA_PUBLISH_TIMEOUT: '2',
      BUSBAR_KAFKA_LEASE: '6000',
      BUSBAR_KAFKA_HEARTBEAT: '500',
      BUSBAR_KAFKA_PARTITIONS: '4',
      BUSBAR_KAFKA_REPLICAS: '3',
      BUSBAR_KAFKA_MAX_AGE: '-1',
      BUSBAR_KAFKA_MAX_BYTES: '9',
      BUSBAR_KAFKA_COMPRESSION: 'zstd',
      BUSBAR_KAFKA_MAX_MESSAGE_BYTES: '7',
      BUSBAR_KAFKA_FETCH_BYTES: '8',
    }
    expect(brokerSettings({ type: 'kafka' }, env).settings).toEqual({
      brokers: 'kafka://a:1',
      username: 'me',
      password: 'p',
      mechanism: 'SCRAM-SHA-512',
      tls: true,
      prefix: '',
      clientId: 'shop',
      connectTimeout: 1,
      requestTimeout: 100,
      publishTimeout: 2,
      lease: 6_000,
      heartbeat: 500,
      partitions: 4,
      replicas: 3,
      maxAge: -1,
      maxBytes: 9,
      compression: 'zstd',
      maxMessageBytes: 7,
      fetchBytes: 8,
    })
  })

  test('several servers and what only code can give are taken as they are', () => {
    const kafka = { brokers: ['a:1', 'b:2'], tls: { ca: 'pem' }, topicConfig: { 'min.insync.replicas': '2' } }
    expect(brokerSettings({ type: 'kafka', kafka }, {}).settings).toEqual(kafka)
  })

  test('a wrong option is named, an address or password never shown', () => {
    expect(() => settingsOf('kafka://a?lease=1')).toThrow(/lease' must be a whole number from 100/)
    expect(() => settingsOf('kafka://a?compression=rar')).toThrow(/compression' must be one of none/)
    const wrong = { type: 'kafka', kafka: { brokers: [7] as never, password: 'secret' } } as const
    expect(() => brokerSettings(wrong, {})).toThrow(/brokers' must be an address.*not shown/)
    expect(() => settingsOf('kafka://me:secret@a?unknown=1')).toThrow(/unknown.*known here: brokers/)
    expect(() => settingsOf('kafka://me:secret@a?unknown=1')).not.toThrow(/secret/)
  })

  test('the broker is loaded when it is asked for', async () => {
    expect((await BROKERS.kafka.load(settingsOf('kafka://a?prefix=x'))).name).toBe('kafka')
    await expect(BROKERS.kafka.load(settingsOf('kafka://me:secret@a/path'))).rejects.toThrow(/'brokers'/)
  })
})
