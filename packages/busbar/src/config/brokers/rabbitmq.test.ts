import { expect, test } from 'vitest'
import { ConfigurationError } from '../../message/errors.ts'
import { brokerSettings } from '../config.ts'
import { BROKERS } from './index.ts'

test('amqp: and amqps: name it, with the options of Busbar as parameters and those of amqplib in the URL', () => {
  expect(brokerSettings('amqps://me:secret@a:1/v?partitions=4&heartbeat=3&frameMax=8192', {})).toEqual({
    type: 'rabbitmq',
    settings: { url: 'amqps://me:secret@a:1/v?frameMax=8192', partitions: 4, heartbeat: 3 },
  })
})

test('every setting that is text, a number or a switch has an environment variable', () => {
  const env = {
    BUSBAR_RABBITMQ_URL: 'amqp://a',
    BUSBAR_RABBITMQ_USERNAME: 'me',
    BUSBAR_RABBITMQ_PASSWORD: 'p',
    BUSBAR_RABBITMQ_TLS: 'true',
    BUSBAR_RABBITMQ_PREFIX: 'x',
    BUSBAR_RABBITMQ_PARTITIONS: '4',
    BUSBAR_RABBITMQ_HEARTBEAT: '5',
    BUSBAR_RABBITMQ_CONNECT_TIMEOUT: '6',
    BUSBAR_RABBITMQ_MAX_MESSAGE_BYTES: '7',
  }
  expect(brokerSettings({ type: 'rabbitmq' }, env).settings).toEqual({
    url: 'amqp://a',
    username: 'me',
    password: 'p',
    tls: true,
    prefix: 'x',
    partitions: 4,
    heartbeat: 5,
    connectTimeout: 6,
    maxMessageBytes: 7,
  })
})

test('a wrong setting is named, and what may be a password is not shown', () => {
  const wrong = (): unknown => brokerSettings('amqp://me:secret@a?partitions=none', {})
  expect(wrong).toThrow(/partitions.*whole number from 1/)
  expect(wrong).not.toThrow(/secret/)
  const empty = { BUSBAR_RABBITMQ_PASSWORD: ' ' }
  expect(() => brokerSettings({ type: 'rabbitmq' }, empty)).toThrow(/BUSBAR_RABBITMQ_PASSWORD.*not shown/)
})

test('the adapter is made of these settings, and refuses what it cannot use', async () => {
  const { load } = BROKERS.rabbitmq
  expect((await load({ url: 'amqp://a:1,amqp://b:2', tls: true })).name).toBe('rabbitmq')
  await expect(load({ url: 'http://a' })).rejects.toThrow(ConfigurationError)
  await expect(load({ url: 'amqp://me:secret@' })).rejects.not.toThrow(/secret/)
  await expect(load({ prefix: 'a:b' })).rejects.toThrow(/'prefix'/)
  await expect(load({ partitions: 2_000 })).rejects.toThrow(/'partitions'.*1000/)
})
