/** Bad input and servers that are not as they should be: each says what is wrong and names the setting. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, chownSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../../../script/servers/start.ts'
import { refuse } from './connection.ts'
import { collector, message, out, quiet, spec, until, World } from './fixtures/world.ts'
import { PostgresBroker, type PostgresBrokerOptions, TablesError } from './index.ts'

let folder: string
let server: OwnServer
let world: World

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busbar-postgres-'))
  server = await startServer('postgres', { dataDir: join(folder, 'postgres') })
})

beforeEach(() => (world = new World(() => server.url)))
afterEach(() => world.end())

afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

async function admin(...statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: server.url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

/** The server's URL with another role. */
function as(role: string, password: string): string {
  const url = new URL(server.url)
  url.username = role
  url.password = password
  return url.href
}

async function refusalOf(options: PostgresBrokerOptions): Promise<Error & { code?: string }> {
  const begun = performance.now()
  const refusal = await world
    .make(options)
    .start()
    .then(
      () => new Error('it started'),
      (error: unknown) => error as Error,
    )
  expect(performance.now() - begun, 'it is not tried for ever').toBeLessThan(20_000)
  return refusal
}

test('a wrong password is told with the setting, at once and without the password', async () => {
  const refusal = await refusalOf({ url: as('busbar', 'wrong-secret') })
  expect(refusal).toMatchObject({ name: 'PostgresError', code: '28P01' })
  expect(refusal.message).toMatch(
    /Postgres at 127\.0\.0\.1:\d+\/busbar: .*password authentication failed.*'username' and 'password'/,
  )
  expect(JSON.stringify({ ...refusal, text: String(refusal), stack: refusal.stack })).not.toContain('wrong-secret')
})

test('what is named beside the URL wins over it', async () => {
  const refusal = await refusalOf({ password: 'wrong-secret' })
  expect(refusal).toMatchObject({ code: '28P01' })
  const broker = await world.broker({
    url: as('nobody', 'nothing'),
    username: 'busbar',
    password: new URL(server.url).password,
  })
  await broker.ping()
})

test('an unknown database is told with the setting', async () => {
  const refusal = await refusalOf({ database: 'nowhere' })
  expect(refusal).toMatchObject({ code: '3D000' })
  expect(refusal.message).toMatch(/"nowhere" does not exist.*'database'.*CREATE DATABASE/s)
})

test('a start that failed may be tried again when what was wrong is put right', async () => {
  const broker = world.make({ database: 'later' })
  await expect(broker.start()).rejects.toThrow(/3D000/)
  await admin('CREATE DATABASE later')
  await broker.start()
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish([out('1')])
  await until(() => seen.length === 1)
})

test('an unknown host is told with the setting', async () => {
  const refusal = await refusalOf({ host: 'no-such-host.invalid' })
  expect(refusal.message).toMatch(/no-such-host\.invalid.*'host'/s)
})

test('a server that does not come within connectTimeout is told with the setting', async () => {
  const refusal = await refusalOf({ port: 1, connectTimeout: 200 })
  expect(refusal).toMatchObject({ code: 'AWAY' })
  expect(refusal.message).toMatch(/ECONNREFUSED.*200 ms \('connectTimeout'\)/s)
})

test('a role that may not make the schema is told what it lacks; with a schema of its own it works', async () => {
  await admin(`CREATE ROLE app LOGIN PASSWORD 'app'`, `REVOKE CREATE ON DATABASE busbar FROM PUBLIC`)
  const refusal = await refusalOf({ url: as('app', 'app') })
  expect(refusal).toMatchObject({ code: '42501' })
  expect(refusal.message).toMatch(
    /permission denied.*GRANT CREATE ON DATABASE.*'schema'.*CREATE SCHEMA … AUTHORIZATION/s,
  )
  await admin(`CREATE SCHEMA "${world.schema}" AUTHORIZATION app`)
  const broker = await world.broker({ url: as('app', 'app') })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish([out('1')])
  await until(() => seen.length === 1)
  await broker.stop()
})

test('a role that may read but not write is refused with what it lacks', async () => {
  await (await world.broker()).stop()
  await admin(
    `CREATE ROLE reader LOGIN PASSWORD 'reader'`,
    `GRANT USAGE ON SCHEMA "${world.schema}" TO reader`,
    `GRANT SELECT ON ALL TABLES IN SCHEMA "${world.schema}" TO reader`,
  )
  const broker = await world.broker({ url: as('reader', 'reader') })
  await expect(broker.publish([out('1')])).rejects.toThrow(/permission denied.*42501/s)
  await expect(broker.ping()).rejects.toThrow(/permission denied.*42501/s)
  await broker.stop()
  await admin(`DROP OWNED BY reader`)
})

test('a role whose transactions are read-only is refused', async () => {
  await admin(
    `CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'careful'`,
    `ALTER ROLE careful SET default_transaction_read_only TO on`,
  )
  const refusal = await refusalOf({ url: as('careful', 'careful') })
  expect(refusal).toMatchObject({ code: '25006' })
  expect(refusal.message).toMatch(/read-only.*default_transaction_read_only/s)
})

test('a server that is too old is refused with the version that is needed', () => {
  const facts = { version: 120_019, standby: 'false', readonly: 'off', encoding: 'UTF8' }
  expect(() => refuse(facts, 'Postgres at x')).toThrow(
    /Postgres at x: the server is Postgres 12 and Busbar needs 13 or later/,
  )
  expect(() => refuse({ ...facts, version: 130_000 }, 'x')).not.toThrow()
})

test('a database that cannot keep every character is refused', async () => {
  await admin(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
  const refusal = await refusalOf({ database: 'latin' })
  expect(refusal.message).toMatch(/encoding LATIN1.*ENCODING UTF8/s)
})

test('tables of a newer Busbar are refused, and left as they are', async () => {
  await (await world.broker()).stop()
  await (await world.client()).query(`UPDATE busbar_meta SET value = '99' WHERE name = 'schema'`)
  expect((await refusalOf({})).message).toMatch(/version 99.*newer Busbar.*Update busbar/s)
})

test('tables that are not Busbar’s, and such as are not whole, are refused, and left as they are', async () => {
  await admin(`CREATE SCHEMA "${world.schema}"`, `CREATE TABLE "${world.schema}".busbar_topics (mine int)`)
  const foreign = await refusalOf({})
  expect(foreign).toBeInstanceOf(TablesError)
  expect(foreign.message).toMatch(/busbar_topics that is not Busbar's.*another database/s)
  const client = await world.client()
  const { rows } = await client.query(`SELECT tablename FROM pg_tables WHERE schemaname = '${world.schema}'`)
  expect(rows).toEqual([{ tablename: 'busbar_topics' }])
  await client.query('DROP TABLE busbar_topics')
  await (await world.broker()).stop()
  await client.query('DROP TABLE busbar_streams')
  const torn = await refusalOf({})
  expect(torn).toBeInstanceOf(TablesError)
  expect(torn.message).toMatch(/lacks busbar_streams.*Restore a whole backup/s)
})

test('verify tells by name what is otherwise on the server than it should be', async () => {
  const broker = await world.broker()
  expect(await broker.verify()).toEqual([])
  const client = await world.client()
  await client.query('DROP INDEX busbar_set_aside_lane')
  await client.query('ALTER TABLE busbar_messages ALTER COLUMN body TYPE varchar')
  await client.query('ALTER TABLE busbar_delayed SET UNLOGGED')
  await client.query('ALTER TABLE busbar_notes ALTER COLUMN position TYPE text COLLATE "POSIX"')
  const found = await broker.verify()
  expect(found.map(({ name }) => name).toSorted()).toEqual([
    'busbar_delayed',
    'busbar_messages.body',
    'busbar_notes.position',
    'busbar_set_aside_lane',
  ])
})

test('a message over the limit is refused with both sizes, before anything is sent', async () => {
  const broker = await world.broker()
  const large = { topic: 'events', message: message('x'.repeat(16 * 1024 * 1024 + 1)) }
  await expect(broker.publish([out('1'), large])).rejects.toThrow(
    /16777217 bytes and postgres takes 16777216; nothing was sent/,
  )
  const { bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish([out('2')])
  await until(() => bodies().length === 1)
  expect(bodies()).toEqual(['2'])
})

test('a publish that the server refuses says why, and confirmed ones stay; when the reason is gone it works again', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish([out('1')])
  const client = await world.client()
  await client.query(`ALTER TABLE busbar_messages ADD CONSTRAINT full_disk CHECK (body <> '2')`)
  await expect(broker.publish([out('2')])).rejects.toThrow(/full_disk.*23514/s)
  await client.query(`ALTER TABLE busbar_messages DROP CONSTRAINT full_disk`)
  await broker.publish([out('3')])
  await until(() => bodies().length === 2)
  expect(bodies()).toEqual(['1', '3'])
})

test('a statement that takes longer than statementTimeout is ended by the server, and the broker goes on', async () => {
  const broker = await world.broker({ statementTimeout: 300 })
  const client = await world.client()
  await broker.publish([out('1')])
  await client.query('BEGIN')
  await client.query('LOCK TABLE busbar_messages IN ACCESS EXCLUSIVE MODE')
  await expect(broker.publish([out('2')])).rejects.toThrow(/57014.*'statementTimeout'/s)
  await client.query('COMMIT')
  await broker.publish([out('3')])
})

test('a broker stops by its deadline though somebody holds a lock that it waits for', async () => {
  const broker = await world.broker({ statementTimeout: 3_600_000 })
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await broker.publish([out('1')])
  await until(() => seen.length === 1)
  const client = await world.client()
  await client.query('BEGIN')
  await client.query('SELECT * FROM busbar_cursors FOR UPDATE')
  await broker.stop({ deadline: 100 })
  await expect(broker.publish([out('2')])).rejects.toThrow(/was stopped/)
  await client.query('COMMIT')
})

test('options that cannot work are refused with their name', () => {
  const make = (options: PostgresBrokerOptions) => () => new PostgresBroker({ logger: quiet, ...options })
  expect(make({ url: 'http://user:hidden@x' })).toThrow(/url is no Postgres URL/)
  expect(make({ url: 'http://user:hidden@x' })).not.toThrow(/hidden/)
  expect(make({ schema: 'a"; DROP' })).toThrow(/schema is/)
  expect(make({ schema: 'pg_mine' })).toThrow(/pg_… is Postgres' own/)
  expect(make({ connections: 0 })).toThrow(/connections is 0/)
  expect(make({ statementTimeout: 1 })).toThrow(/statementTimeout is 1/)
  expect(make({ lease: 1 })).toThrow(/lease is 1/)
})

test('a package that is missing is named with the command that installs it', () => {
  const refuseIt = `export async function resolve(name, context, next) {
    if (name !== 'pg') return next(name, context)
    throw Object.assign(new Error('no'), { code: 'ERR_MODULE_NOT_FOUND' })
  }`
  const index = new URL('./index.ts', import.meta.url).href
  const code = `
    import { register } from 'node:module'
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(refuseIt)}))
    const { PostgresBroker } = await import(${JSON.stringify(index)})
    await new PostgresBroker({ host: 'x' }).start().catch((error) => console.log(error.name + ': ' + error.message))`
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  expect(told.trim()).toBe('ConfigurationError: the Postgres broker needs the package pg: run npm install pg@8')
})

test('TLS: a server without it, a certificate nobody knows and one for another host are told with the setting; with { ca } it works', async () => {
  expect((await refusalOf({ tls: true })).message).toMatch(/does not support SSL.*'tls'/s)

  const data = join(folder, 'postgres', 'cluster', 'data')
  const [key, cert] = [join(data, 'server.key'), join(data, 'server.crt')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject],
    { stdio: 'ignore' },
  )
  const { uid, gid } = statSync(data)
  for (const file of [key, cert]) chownSync(file, uid, gid)
  appendFileSync(join(data, 'postgresql.conf'), '\nssl = on\n')
  appendFileSync(join(data, 'postgresql.auto.conf'), '\n')
  await server.restart()

  expect((await refusalOf({ tls: true, host: 'localhost' })).message).toMatch(
    /self-signed certificate.*'tls'.*\{ ca \}/s,
  )
  const ca = readFileSync(cert, 'utf8')
  expect((await refusalOf({ tls: { ca } })).message).toMatch(/altnames.*'tls'/s)
  const broker = await world.broker({ tls: { ca }, host: 'localhost' })
  const client = await world.client()
  const { rows } = await client.query(
    `SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'busbar'`,
  )
  expect(rows).toEqual([{ ssl: true }])
  await broker.publish([out('1')])
  await broker.stop()
})
