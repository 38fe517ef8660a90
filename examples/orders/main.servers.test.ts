/** The same closing line wherever the events are kept and whoever carries them. */
import { randomUUID } from 'node:crypto'

import pg from 'pg'
import { expect, test } from 'vitest'

import { lineOf, runProgram } from './fixtures/program.ts'

const ARGS = ['--orders', '60', '--seed', '7', '--json']

function urlOf(variable: string, parameter: string, value = `orders_${randomUUID().slice(0, 8)}`): string {
  const url = process.env[variable]
  if (url === undefined) throw new Error(`${variable} is not set: eval "$(./script/brokers up)"`)
  return `${url}${url.includes('?') ? '&' : '?'}${parameter}=${value}`
}

async function query<Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: process.env['BUSBAR_POSTGRES_URL'] })
  await client.connect()
  try {
    return (await client.query<Row>(sql, [...params])).rows
  } finally {
    await client.end()
  }
}

test('on Postgres, in a schema that is named, the closing line is that of SQLite', async () => {
  const schema = `orders_${randomUUID().slice(0, 8)}`
  const expected = await runProgram(...ARGS)
  expect(expected.code, expected.err).toBe(0)
  try {
    const ended = await runProgram(...ARGS, '--database', urlOf('BUSBAR_POSTGRES_URL', 'schema', schema))
    expect(ended.code, ended.err).toBe(0)
    expect(lineOf(ended)).toEqual(lineOf(expected))
    const [row] = await query<{ parcels: number }>(`SELECT count(*)::int AS parcels FROM ${schema}.parcels`)
    expect(row?.parcels).toBe(lineOf(ended)['parcels'])
  } finally {
    await query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  }
})

test('on Postgres, without a name, nothing is left behind', async () => {
  const schemas = (): Promise<object[]> => query(`SELECT nspname FROM pg_namespace WHERE nspname = $1`, [schema])
  const url = process.env['BUSBAR_POSTGRES_URL'] as string
  const { code, err } = await runProgram(...ARGS, '--database', url)
  expect(code, err).toBe(0)
  const [, schema] = /schema (orders_\w+)/.exec(err) ?? []
  expect(schema).toBeDefined()
  expect(await schemas()).toEqual([])
})

test('with a relay to Redis the parcels are the same, also those whose event comes twice', async () => {
  const expected = await runProgram(...ARGS)
  const ended = await runProgram(...ARGS, '--broker', urlOf('BUSBAR_REDIS_URL', 'prefix'))
  expect(ended.code, ended.err).toBe(0)
  expect(ended.err).toMatch(/delivered +20 events a second time/)
  expect(lineOf(ended)).toEqual(lineOf(expected))
})
