import { expect, test } from 'vitest'
import { z } from 'zod'
import { event, SchemaConflictError } from '../message/index.ts'
import { registerContracts } from '../message/schemas/index.ts'
import { postgresSchema } from '../postgres/fixtures/schema.ts'
import { SqlSchemaRegistry } from '../schemas/index.ts'
import { pgDatabase } from '../transaction/database.ts'
import { PersonForgottenError, SqlKeyStore } from './index.ts'

const { pool } = postgresSchema()

test('keys in Postgres: one for all who ask at once, and forgotten for all', async () => {
  const make = (): SqlKeyStore => new SqlKeyStore({ database: pgDatabase(pool), masterKey: Buffer.alloc(32, 1) })
  const stores = [make(), make(), make()] as const
  const keys = await Promise.all(stores.map((store) => store.obtain('ada')))
  expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(1)
  expect(await stores[0].forget('ada')).toBe(true)
  expect(await stores[1].find('ada')).toBeUndefined()
  await expect(stores[2].obtain('ada')).rejects.toThrow(PersonForgottenError)
})

test('schemas in Postgres: registered once by several at once, and never changed', async () => {
  const make = (): SqlSchemaRegistry => new SqlSchemaRegistry(pgDatabase(pool))
  const registries = [make(), make(), make()] as const
  const Placed = event('Placed', z.object({ n: z.number() }))
  await Promise.all(registries.map((registry) => registerContracts(registry, [Placed], 'FULL')))
  expect(await registries[0].versions('Placed')).toHaveLength(1)
  expect(await registries[1].types()).toEqual(['Placed'])
  const Changed = event('Placed', z.object({ n: z.string() }))
  await expect(registerContracts(registries[2], [Changed], 'FULL')).rejects.toThrow(SchemaConflictError)
})
