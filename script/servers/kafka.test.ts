import { expect, test } from 'vitest'
import { clusterId } from './kafka.ts'

test('the id of a cluster is 16 bytes in base64 for URLs, differs with the secret, and is never taken for an option', () => {
  const secrets = Array.from({ length: 256 }, (_, first) => first.toString(16).padStart(2, '0').padEnd(32, 'f'))
  const ids = secrets.map((secret) => clusterId(secret))
  for (const id of ids) {
    expect(id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/)
    expect(Buffer.from(id, 'base64url')).toHaveLength(16)
  }
  expect(new Set(ids).size).toBeGreaterThanOrEqual(128)
})
