import { expect, test } from 'vitest'
import { RedisEventStorage } from '../../redis/index.ts'
import { storeSettings } from '../config.ts'
import { STORES } from './index.ts'

test('redis: and rediss: name the event storage, with the options of a server as parameters', () => {
  expect(storeSettings('rediss://me:secret@a:1/2?prefix=shop&family=6', {})).toEqual({
    type: 'redis',
    settings: { url: 'rediss://me:secret@a:1/2?family=6', prefix: 'shop' },
  })
})

test('the environment names the server as it does for the broker', () => {
  const env = { BUSBAR_REDIS_HOST: 'a', BUSBAR_REDIS_PORT: '1', BUSBAR_REDIS_PASSWORD: 'p' }
  expect(storeSettings({ type: 'redis' }, env).settings).toEqual({ host: 'a', port: 1, password: 'p' })
})

test('what only the broker knows is refused with what there is', () => {
  expect(() => storeSettings('redis://a?partitions=4', {})).toThrow(/partitions.*known here: .*prefix/)
})

test('the settings make a storage that has not been started', async () => {
  const { settings } = storeSettings('redis://127.0.0.1:1', {})
  const storage = await STORES.redis.load(settings)
  expect(storage).toBeInstanceOf(RedisEventStorage)
  await expect(storage.head()).rejects.toThrow(/was not started/)
  await storage.stop()
})
