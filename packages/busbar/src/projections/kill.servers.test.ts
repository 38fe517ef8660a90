import { expect, test } from 'vitest'
import { postgresSchema } from '../postgres/fixtures/schema.ts'
import { killedAgainAndAgain, KILLING_TAKES } from './fixtures/killing.ts'

const schema = postgresSchema()

test(
  'each event changes a model in Postgres exactly once, and a rebuild goes on, in processes that are killed with -9 in the middle of it',
  async () => {
    const { found, expected } = await killedAgainAndAgain({ kind: 'postgres', url: schema.url, schema: schema.name })
    expect(found).toEqual(expected)
  },
  KILLING_TAKES,
)
