import { expect, test } from 'vitest'
import { ConfigurationError } from '../message/errors.ts'
import { addressOf, shown } from './address.ts'

test.each([
  ['nats://a', { servers: ['a:4222'] }],
  ['a:5', { servers: ['a:5'] }],
  ['nats://a:80/', { servers: ['a:80'] }],
  ['nats://[::1]:4333', { servers: ['[::1]:4333'] }],
  ['tls://a', { servers: ['a:4222'], tls: true }],
  ['nats://me:12%4034@a:5', { servers: ['a:5'], user: 'me', password: '12@34' }],
  ['nats://sesame@a:5', { servers: ['a:5'], token: 'sesame' }],
  ['nats://me:p@a:1,b:2', { servers: ['a:1', 'b:2'], user: 'me', password: 'p' }],
  ['nats://me:p@a:1, nats://me:p@b', { servers: ['a:1', 'b:4222'], user: 'me', password: 'p' }],
])('%s is taken apart', (url, address) => {
  expect(addressOf(url)).toEqual(address)
})

test('several URLs are several servers', () => {
  expect(addressOf(['nats://a', 'nats://me:p@b'])).toEqual({
    servers: ['a:4222', 'b:4222'],
    user: 'me',
    password: 'p',
  })
})

test.each(['http://me:secret@a', 'nats://me:secret@', 'nats://me:secret@a/path', 'nats://me:%secret@a', []])(
  '%s is refused without being shown',
  (url) => {
    expect(() => addressOf(url)).toThrow(ConfigurationError)
    expect(() => addressOf(url)).toThrow(/'servers'/)
    expect(() => addressOf(url)).not.toThrow(/secret/)
  },
)

test('what errors show has no credentials', () => {
  expect(shown(addressOf('tls://me:secret@a:1,b'))).toBe('tls://a:1, tls://b:4222')
})
