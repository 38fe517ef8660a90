import { expect, test } from 'vitest'
import { APPEND } from '../sql/log.ts'
import { PreparedStatements } from './statements.ts'

test('placeholders are numbered, and each text has one name', () => {
  const statements = new PreparedStatements()
  const one = statements.of('SELECT 1 WHERE a = ? AND b = ?')
  expect(one.text).toBe('SELECT 1 WHERE a = $1 AND b = $2')
  expect(statements.of('SELECT 1 WHERE a = ? AND b = ?')).toBe(one)
  const names = [one, statements.of('SELECT 2'), statements.bulkOf(APPEND), statements.of('SELECT 3')].map(
    (each) => each?.name,
  )
  expect(new Set(names).size).toBe(4)
})

test('an INSERT of many rows is one statement with an array for each column', () => {
  const bulk = new PreparedStatements().bulkOf(
    'INSERT INTO t (topic, name, expires) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING',
  )
  expect(bulk?.text).toBe(
    'INSERT INTO t (topic, name, expires) SELECT * FROM unnest($1::int4[], $2::text[], $3::float8[]) ON CONFLICT (name) DO NOTHING',
  )
  const [topics, , expires] =
    bulk?.parameters([
      [1, 'a', 1.5],
      [2, null, null],
    ]) ?? []
  expect([topics, expires]).toEqual(['{1,2}', '{1.5,NULL}'])
})

test('what is no plain INSERT of values stays what it is', () => {
  const statements = new PreparedStatements()
  expect(statements.bulkOf('DELETE FROM t WHERE a = ?')).toBeUndefined()
  expect(statements.bulkOf('INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET b = ?')).toBeUndefined()
})
