/** Users, tokens, keys and TLS, over servers of this test's own. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { nkeys } from '@nats-io/transport-node'
import { describe, expect, test } from 'vitest'
import { decentralized } from './fixtures/jwt.ts'
import { order, refusal, started } from './fixtures/messages.ts'
import { scratchFolder, startNats } from './fixtures/servers.ts'
import type { NatsBrokerOptions } from './index.ts'

async function works(options: NatsBrokerOptions): Promise<void> {
  const broker = await started(options)
  await broker.publish([order('one')])
  await broker.ping()
}

const at = (url: string, credentials: string): string => url.replace('//', `//${credentials}@`)

describe('who we are', () => {
  test('user and password, in the URL or beside it; a wrong one is told at once, without being shown', async () => {
    const { url } = await startNats('authorization { user: "me", password: "s e/cret" }')
    await works({ servers: at(url, 'me:s%20e%2Fcret') })
    await works({ servers: url, user: 'me', password: 's e/cret' })
    await works({ servers: at(url, 'me:old'), password: 's e/cret' })
    for (const options of [
      { servers: at(url, 'me:wrong') },
      { servers: url, user: 'me', password: 'wrong' },
      { servers: url },
    ]) {
      const { name, message } = await refusal(options)
      expect(name).toBe('BrokerError')
      expect(message).toMatch(/refuses these credentials.*'user' and 'password', 'token'/)
      expect(message).not.toContain('wrong')
    }
  })

  test('a token, in the URL or beside it', async () => {
    const { url } = await startNats('authorization { token: "sesame" }')
    await works({ servers: at(url, 'sesame') })
    await works({ servers: url, token: 'sesame' })
    expect((await refusal({ servers: url, token: 'parsley' })).message).toMatch(/'token'/)
  })

  test('an nkey', async () => {
    const user = nkeys.createUser()
    const { url } = await startNats(`authorization { users: [{ nkey: ${user.getPublicKey()} }] }`)
    await works({ servers: url, nkey: new TextDecoder().decode(user.getSeed()) })
    const other = new TextDecoder().decode(nkeys.createUser().getSeed())
    const { message } = await refusal({ servers: url, nkey: other })
    expect(message).toMatch(/'nkey'/)
    expect(message).not.toContain(other)
    expect((await refusal({ servers: url, nkey: 'SUnone' })).message).toMatch(/'nkey' is not the seed/)
  })

  test('a credentials file', async () => {
    const { configuration, credentials } = decentralized()
    const { url } = await startNats(configuration)
    const folder = await scratchFolder()
    await writeFile(join(folder, 'me.creds'), credentials)
    await works({ servers: url, credentials: join(folder, 'me.creds') })
    const missing = await refusal({ servers: url, credentials: join(folder, 'you.creds') })
    expect(missing.name).toBe('ConfigurationError')
    expect(missing.message).toMatch(/'credentials'.*you\.creds/)
  })
})

describe('TLS', () => {
  const run = promisify(execFile)

  /** A certificate that signs itself, for a host name. */
  async function certificate(host: string): Promise<{ readonly cert: string; readonly key: string }> {
    const folder = await scratchFolder()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`]
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      ...subject,
      '-keyout',
      key,
      '-out',
      cert,
    ])
    return { cert, key }
  }

  const local = (url: string, scheme: string): string => url.replace('nats://127.0.0.1', `${scheme}://localhost`)

  test('a server with TLS is used where its certificate is known; else the error names the setting', async () => {
    const { cert, key } = await certificate('localhost')
    const { url } = await startNats(`tls { cert_file: "${cert}", key_file: "${key}" }`)
    await works({ servers: local(url, 'tls'), tls: { caFile: cert } })
    await works({ servers: local(url, 'nats'), tls: { caFile: cert } })
    for (const servers of [local(url, 'tls'), local(url, 'nats')]) {
      const { name, message } = await refusal({ servers })
      expect(name).toBe('BrokerError')
      expect(message).toMatch(/no TLS.*self-signed certificate.*'tls' \(caFile/)
    }
    const { message } = await refusal({ servers: local(url, 'tls'), tls: { caFile: '/nowhere/ca.pem' } })
    expect(message).toMatch(/nowhere.*'tls'/)
  })

  test('a certificate of another host is refused', async () => {
    const { cert, key } = await certificate('example.org')
    const { url } = await startNats(`tls { cert_file: "${cert}", key_file: "${key}" }`)
    const { message } = await refusal({ servers: local(url, 'tls'), tls: { caFile: cert } })
    expect(message).toMatch(/no TLS.*altnames/)
  })

  test('a client certificate is asked for and given', async () => {
    const { cert, key } = await certificate('localhost')
    const { url } = await startNats(
      `tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${cert}", verify: true }`,
    )
    await works({ servers: local(url, 'tls'), tls: { caFile: cert, certFile: cert, keyFile: key } })
    const { message } = await refusal({ servers: local(url, 'tls'), tls: { caFile: cert }, connectTimeout: 1_000 })
    expect(message).toMatch(/'servers'/)
  })

  test('with tls:// nothing is sent to a server without TLS', async () => {
    const { url } = await startNats('')
    const { message } = await refusal({ servers: local(url, 'tls'), user: 'me', password: 'secret' })
    expect(message).toMatch(/no TLS.*does not support 'tls'.*'servers' \(tls:\/\/ or nats:\/\/\)/)
  })
})
