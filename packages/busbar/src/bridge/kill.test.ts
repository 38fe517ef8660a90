import { expect, test } from 'vitest'
import { kept, killedAtAnyMoment } from './fixtures/killed.ts'

test('bridges killed with -9 at any moment lose nothing and keep the order of each key, from SQLite to SQLite', async () => {
  expect(await killedAtAnyMoment('sqlite', 'sqlite')).toEqual(kept)
}, 240_000)
