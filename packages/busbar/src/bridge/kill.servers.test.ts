import { expect, test } from 'vitest'
import { kept, killedAtAnyMoment } from './fixtures/killed.ts'

test('bridges killed with -9 at any moment lose nothing and keep the order of each key, from SQLite to Redis', async () => {
  expect(await killedAtAnyMoment('sqlite', 'redis-streams')).toEqual(kept)
}, 240_000)

test('and from Redis to NATS', async () => {
  expect(await killedAtAnyMoment('redis-streams', 'nats')).toEqual(kept)
}, 240_000)
