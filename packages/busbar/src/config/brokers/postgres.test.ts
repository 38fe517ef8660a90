import { expect, test } from 'vitest'
import { ConfigurationError } from '../../message/errors.ts'
import { serverOf } from '../../postgres/server.ts'
import { brokerSettings } from '../config.ts'

const settingsOf = (url: string, env: Record<string, string> = {}): Record<string, unknown> =>
  brokerSettings(url, env).settings

test('postgres: and postgresql: name it, with the options of Busbar as parameters; what the client reads stays in the URL', () => {
  expect(brokerSettings('postgresql://me:secret@a:1/db?schema=mine&lease=500&sslmode=require&maxAge=9', {})).toEqual({
    type: 'postgres',
    settings: {
      url: 'postgresql://me:secret@a:1/db?sslmode=require',
      schema: 'mine',
      lease: 500,
      retention: { maxAge: 9 },
    },
  })
  expect(brokerSettings('postgres://a/db', {}).type).toBe('postgres')
})

test('host, port, user, password and database say the same as a URL', () => {
  const postgres = { host: 'a', port: 1, username: 'me', password: 'p', database: 'db' }
  const { settings } = brokerSettings({ type: 'postgres', postgres }, {})
  expect(serverOf(settings)).toEqual(serverOf({ url: 'postgres://me:p@a:1/db' }))
  expect(serverOf(settings).where).toBe('Postgres at a:1/db')
})

test('every setting that is text or a number has an environment variable', () => {
  const env = {
    BUSBAR_POSTGRES_HOST: 'a',
    BUSBAR_POSTGRES_PORT: '1',
    BUSBAR_POSTGRES_USERNAME: 'me',
    BUSBAR_POSTGRES_PASSWORD: 'p',
    BUSBAR_POSTGRES_DATABASE: 'db',
    BUSBAR_POSTGRES_TLS: 'true',
    BUSBAR_POSTGRES_SCHEMA: 'mine',
    BUSBAR_POSTGRES_CONNECTIONS: '2',
    BUSBAR_POSTGRES_CONNECT_TIMEOUT: '1000',
    BUSBAR_POSTGRES_STATEMENT_TIMEOUT: '2000',
    BUSBAR_POSTGRES_LEASE: '500',
    BUSBAR_POSTGRES_PARTITIONS: '4',
    BUSBAR_POSTGRES_POLL_INTERVAL: '50',
    BUSBAR_POSTGRES_MAX_AGE: '9',
  }
  expect(brokerSettings({ type: 'postgres' }, env).settings).toEqual({
    host: 'a',
    port: 1,
    username: 'me',
    password: 'p',
    database: 'db',
    tls: true,
    schema: 'mine',
    connections: 2,
    connectTimeout: 1000,
    statementTimeout: 2000,
    lease: 500,
    partitions: 4,
    pollInterval: 50,
    retention: { maxAge: 9 },
  })
})

test('a server that is named by hand is not mixed with the one of the environment', () => {
  const env = { BUSBAR_POSTGRES_URL: 'postgres://env/x', BUSBAR_POSTGRES_HOST: 'env', BUSBAR_POSTGRES_PASSWORD: 'p' }
  expect(settingsOf('postgres://mine/y', env)).toEqual({ url: 'postgres://mine/y', password: 'p' })
  expect(brokerSettings({ type: 'postgres', postgres: { host: 'mine' } }, env).settings).toEqual({
    host: 'mine',
    password: 'p',
  })
  expect(brokerSettings({ type: 'postgres' }, env).settings).toMatchObject({ url: 'postgres://env/x' })
})

test('an unknown option is refused with the known ones, and no error shows a password', () => {
  const wrong = (): unknown => settingsOf('postgres://me:secret@a/db?nonsense=1')
  expect(wrong).toThrow(ConfigurationError)
  expect(wrong).toThrow(/nonsense.*schema/s)
  expect(wrong).not.toThrow(/secret/)
  const url = 5 as unknown as string
  expect(() => brokerSettings({ type: 'postgres', postgres: { url, password: 'hidden' } }, {})).toThrow(
    /broker\.postgres\.url/,
  )
})
