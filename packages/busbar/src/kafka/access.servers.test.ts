/** Users, passwords, TLS and permissions, over a server of this test's own. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusal, order, spec, started } from './fixtures/messages.ts'
import { type Guarded, SCRAM, startGuarded, users } from './fixtures/servers.ts'
import type { KafkaBrokerOptions } from './index.ts'

let server: Guarded
const wrong = { connectTimeout: 1_000 }

beforeAll(async () => {
  server = await startGuarded()
})

afterAll(() => server?.end())

/** Writes and reads; resolves to what it has read. */
async function roundTrip(options: KafkaBrokerOptions): Promise<string> {
  const broker = await started(options)
  await broker.publish([order('one')])
  const { promise, resolve } = Promise.withResolvers<string>()
  await broker.subscribe(spec(), ({ message: { id } }) => {
    resolve(id)
    return { ack: true }
  })
  return promise
}

test('TLS with a certificate that is trusted, by option or by URL', async () => {
  const tls = { ca: server.ca }
  expect(await roundTrip({ brokers: server.tls, tls })).toBe('one')
  expect(await roundTrip({ brokers: `kafkas://${server.tls}`, tls })).toBe('one')
})

test('a certificate that is not trusted, or of another host, is refused at once, and the error names the setting', async () => {
  const untrusted = await refusal({ brokers: `kafkas://${server.tls}`, ...wrong })
  expect(untrusted.message).toMatch(/self-signed certificate.*'tls'/)
  const elsewhere = await refusal({ brokers: server.tls, tls: { ca: server.ca, servername: 'elsewhere' }, ...wrong })
  expect(elsewhere.message).toMatch(/elsewhere.*'tls'/)
})

test('one side with TLS and one without never come together, and the error names the setting', async () => {
  expect((await refusal({ brokers: server.tls, ...wrong })).message).toMatch(/'tls'/)
  expect((await refusal({ brokers: `kafkas://${server.open.replace('kafka://', '')}`, ...wrong })).message).toMatch(
    /'tls'/,
  )
})

test('user and password, with and without TLS; in the URL or beside it', async () => {
  const credentials = { username: 'me', password: users.me }
  expect(await roundTrip({ brokers: server.access, tls: { ca: server.ca }, ...credentials })).toBe('one')
  expect(await roundTrip({ brokers: server.clear, ...credentials })).toBe('one')
  expect(await roundTrip({ brokers: `kafka://me:s%20e%2Fcret@${server.clear}` })).toBe('one')
})

test.each(SCRAM)('user and password by %s; a wrong one is told at once and never shown', async (mechanism) => {
  const credentials = { username: 'me', password: users.me, mechanism }
  expect(await roundTrip({ brokers: server.clear, ...credentials })).toBe('one')
  const { message } = await refusal({
    brokers: `kafka://me:parsley@${server.clear}`,
    mechanism,
    connectTimeout: 60_000,
  })
  expect(message).toMatch(/refuses these credentials.*'username', 'password'/)
  expect(message).not.toContain('parsley')
})

test('a wrong password is told at once and never shown', async () => {
  for (const brokers of [`kafka://me:parsley@${server.clear}`, `kafka://stranger:parsley@${server.clear}`]) {
    const { name, message } = await refusal({ brokers, connectTimeout: 60_000 })
    expect(name).toBe('BrokerError')
    expect(message).toMatch(/refuses these credentials.*'username', 'password'/)
    expect(message).not.toContain('parsley')
  }
})

test('a server that wants credentials and gets none: the error names the setting', async () => {
  expect((await refusal({ brokers: server.clear, ...wrong })).message).toMatch(/'username'/)
})

test('who may not make, write or read is told what to allow', async () => {
  const prefix = `allowed${Date.now().toString(36)}`
  const mine = await started({ brokers: server.open, prefix })
  await mine.publish([order('one')])
  const broker = await started({ brokers: server.clear, username: 'nobody', password: users.nobody, prefix })
  await expect(broker.publish([order('two')])).rejects.toThrow(
    /may not|could not be made.*allow|Authorization|authorized/i,
  )
  await expect(broker.subscribe(spec(), () => ({ ack: true }))).rejects.toThrow(/allow|authori/i)
})
