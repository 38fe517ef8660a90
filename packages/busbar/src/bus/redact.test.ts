import { expect, test } from 'vitest'

import { summarize } from './redact.ts'

const masked = (text: string): string => summarize(new Error(text)).message

test('passwords in URLs, values behind telling names, and authorization headers are masked', () => {
  expect(masked('postgres://app:s3cr3t@db:5432/x')).toBe('postgres://app:***@db:5432/x')
  expect(masked('password=s3cr3t; user=ada')).toBe('password=***; user=ada')
  expect(masked('{"token":"s3cr3t","n":1}')).toBe('{"token":***,"n":1}')
  expect(masked("api_key: 's3 cr3t'")).toBe('api_key: ***')
  expect(masked('Authorization: Bearer abcdefgh.ijkl')).not.toContain('abcdefgh')
  expect(masked('sent Basic YWRhOnNlY3JldA==')).toBe('sent Basic ***')
})

test('what only looks a little like one stays readable', () => {
  for (const text of [
    'the basic idea',
    'tokens were counted',
    'see https://example.org/a:b',
    'a password is missing',
  ]) {
    expect(masked(text)).toBe(text)
  }
})

test('long texts and stacks are cut, and say by how much', () => {
  const { message } = summarize(new Error('x'.repeat(5_000)))
  expect(message).toHaveLength(1_000 + '… (4000 more characters)'.length)
  expect(message).toContain('(4000 more characters)')
  const error = new Error('y')
  error.stack = 'z'.repeat(20_000)
  expect(summarize(error).stack?.length).toBeLessThan(8_100)
})

test('what is no error is described without its content', () => {
  expect(summarize({ card: '4111' })).toEqual({
    name: 'NonError',
    message: 'a value of type object was thrown; throw an Error to see why',
  })
  expect(summarize(undefined).message).toBe('undefined was thrown')
  expect(summarize('password=x').message).toBe('password=***')
})

test('an error that is odd itself is still summed up', () => {
  const odd = new Error('fine')
  Object.defineProperty(odd, 'name', {
    get() {
      throw new Error('name broke')
    },
  })
  expect(summarize(odd)).toMatchObject({ message: expect.any(String) })
  const bare = new Error('fine')
  Object.assign(bare, { name: Object.create(null), stack: 7 })
  expect(() => summarize(bare)).not.toThrow()
})
