import { expect, test } from 'vitest'
import { numbered, pieces } from './placeholders.ts'

test('each placeholder gets its number', () => {
  expect(numbered('INSERT INTO t VALUES (?, ?), (?, ?)')).toBe('INSERT INTO t VALUES ($1, $2), ($3, $4)')
  expect(numbered('SELECT 1')).toBe('SELECT 1')
})

test('a question mark in a text, name, comment or dollar quote is none', () => {
  const kept = [
    `'is it?'`,
    `'it''s ?'`,
    `E'\\'?'`,
    `"odd ? name"`,
    `-- why?\n`,
    `/* why? */`,
    `$$ ? $$`,
    `$body$ ? 'x $body$`,
  ]
  for (const one of kept) {
    expect(numbered(`SELECT ?, ${one}, ?`)).toBe(`SELECT $1, ${one}, $2`)
    expect(pieces(`${one}?${one}`)).toEqual([one, one])
  }
})
