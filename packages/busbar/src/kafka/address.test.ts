import { describe, expect, test } from 'vitest'
import { serversOf } from './address.ts'
import { complete } from './options.ts'

describe('servers', () => {
  test('are named by host and port, by URL, one or several', () => {
    expect(serversOf('a')).toEqual({ brokers: [{ host: 'a', port: 9092 }], tls: false })
    expect(serversOf('a:1, [::1]:2').brokers).toEqual([
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ])
    expect(serversOf(['kafka://a:1', 'kafka://b:2/']).brokers).toHaveLength(2)
  })

  test('a URL says who wants in, and whether by TLS', () => {
    const servers = serversOf('kafkas://me:p%40ss%3A@a:1,b:2')
    expect(servers).toEqual({
      brokers: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
      tls: true,
      username: 'me',
      password: 'p@ss:',
    })
  })

  test('options win over the URL', () => {
    const { client } = complete({ brokers: 'kafkas://me:x@a', username: 'you', password: 'y', tls: false })
    expect(client).toEqual({ sasl: { mechanism: 'PLAIN', username: 'you', password: 'y' } })
  })

  test('what is wrong is named, and a password is never shown', () => {
    const wrong = [
      '',
      'a:b',
      'http://a',
      'kafka://me:secret@a:99999',
      'kafka://me:secret@',
      'kafka://me:secret@a/b',
      'me:secret',
    ]
    for (const text of wrong) {
      expect(() => serversOf(text)).toThrow(/option 'brokers'/)
      expect(() => serversOf(text)).not.toThrow(/secret/)
    }
  })

  test('options that cannot be are refused by name', () => {
    expect(() => complete({ prefix: 'a b' })).toThrow(/option 'prefix'/)
    expect(() => complete({ lease: 1 })).toThrow(/option 'lease'/)
    expect(() => complete({ lease: 1_000, heartbeat: 900 })).toThrow(/option 'heartbeat'/)
    expect(() => complete({ partitions: 0 })).toThrow(/option 'partitions'/)
    expect(() => complete({ replicas: 0 })).toThrow(/option 'replicas'/)
  })
})
