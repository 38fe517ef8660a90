/** What this process publishes reaches its own members a round trip earlier: they fetch behind the append. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Verdict } from '../broker/index.ts'
import { ack, out, spec, until, World } from './fixtures/world.ts'
import type { PostgresBroker } from './index.ts'
import type { Link } from './link.ts'

let world: World
let broker: PostgresBroker
let client: Client

beforeEach(async () => {
  world = new World()
  broker = await world.broker({ partitions: 1 })
  client = await world.client()
})

afterEach(() => world.end())

/** From now on the server keeps which sessions append to the log and which name what they hand out. */
async function watchSessions(): Promise<void> {
  await client.query(`
    CREATE TABLE sessions (what text, pid int);
    CREATE FUNCTION keep_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO sessions VALUES (TG_TABLE_NAME, pg_backend_pid());
      RETURN NULL;
    END $$;
    CREATE TRIGGER keep_session AFTER INSERT ON busbar_messages FOR EACH ROW EXECUTE FUNCTION keep_session();
    CREATE TRIGGER keep_session AFTER UPDATE ON busbar_cursors FOR EACH ROW
      WHEN (NEW.position <> OLD.position) EXECUTE FUNCTION keep_session()`)
}

/** How often a session that appends named what it hands out. */
async function fetchedBehind(): Promise<number> {
  const { rows } = await client.query<{ count: number }>(`SELECT COUNT(*)::int AS count FROM sessions
    WHERE what = 'busbar_cursors' AND pid IN (SELECT pid FROM sessions WHERE what = 'busbar_messages')`)
  return rows[0]?.count ?? 0
}

test('what is published alone is fetched behind its append, over the same connection', async () => {
  const bodies: unknown[] = []
  await broker.subscribe(spec({ group: 'readers' }), ({ message }) => {
    bodies.push(message.body)
    return ack
  })
  await watchSessions()
  await until(async () => {
    // Nothing is under way any more: a turn that is goes first.
    await broker.metrics()
    const sent = bodies.length
    await broker.publish([out(String(sent), 'k')])
    await until(() => bodies.length === sent + 1)
    return (await fetchedBehind()) >= 5
  })
  expect(bodies).toEqual(bodies.map((_, n) => String(n)))
})

test('what a handler publishes is fetched behind its append, too', async () => {
  const bodies: unknown[] = []
  let ended = false
  await broker.subscribe(spec({ group: 'readers' }), ({ message }) => {
    bodies.push(message.body)
    if (!ended) void broker.publish([out(String(bodies.length), 'k')])
    return ack
  })
  await watchSessions()
  await broker.publish([out('0', 'k')])
  await until(async () => (await fetchedBehind()) >= 10)
  ended = true
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
  expect(bodies).toEqual(bodies.map((_, n) => String(n)))
})

test('whoever holds a lock on a cursor holds up no publisher, and what was published comes when it is released', async () => {
  const bodies: unknown[] = []
  const gate = Promise.withResolvers<Verdict>()
  await broker.subscribe(spec({ group: 'readers' }), ({ message }) => {
    bodies.push(message.body)
    return message.body === '0' ? gate.promise : ack
  })
  await broker.publish([out('0', 'k')])
  await until(() => bodies.length === 1)
  await client.query('BEGIN')
  await client.query('SELECT * FROM busbar_cursors FOR UPDATE')
  // It is settled and that is not stored: a fetch behind the next append would store it, and wait for the lock.
  gate.resolve(ack)
  await turn()
  for (let n = 1; n <= 5; n++) await broker.publish([out(String(n), 'k')])
  expect(bodies).toEqual(['0'])
  await client.query('COMMIT')
  await until(() => bodies.length === 6)
  expect(bodies).toEqual(['0', '1', '2', '3', '4', '5'])
  // Sooner than the server ends what waits for a lock.
}, 15_000)

test('an append that is refused leaves nothing behind: what is published next comes, once and in order', async () => {
  const bodies: unknown[] = []
  await broker.subscribe(spec({ group: 'readers' }), ({ message }) => {
    bodies.push(message.body)
    return ack
  })
  await client.query(`ALTER TABLE busbar_messages ADD CONSTRAINT even CHECK (body::int % 2 = 0) NOT VALID`)
  const refused: unknown[] = []
  for (let n = 0; n < 20; n++)
    await broker.publish([out(String(n), 'k')]).catch((error: unknown) => refused.push(error))
  const even = Array.from({ length: 10 }, (_, n) => String(2 * n))
  await until(() => bodies.length === even.length)
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
  expect(refused).toHaveLength(10)
  expect(bodies).toEqual(even)
})

test('an append whose connection breaks is told to the member that meant to read behind it, as soon as it is known to be there', async () => {
  const far = await world.broker({ partitions: 1, pollInterval: 3_600_000 })
  const bodies: unknown[] = []
  await far.subscribe(spec({ group: 'readers' }), ({ message }) => {
    bodies.push(message.body)
    return ack
  })
  await far.publish([out('0', 'k')])
  await until(() => bodies.length === 1)
  await far.metrics()
  await client.query(`
    CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
    CREATE TRIGGER linger AFTER INSERT ON busbar_messages FOR EACH ROW EXECUTE FUNCTION linger()`)
  const published = far.publish([out('1', 'k')])
  await until(async () => {
    const { rows } = await client.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)
    return rows.length > 0
  })
  const { links } = far.log.context.publishing as unknown as { readonly links: readonly Link[] }
  for (const link of links) link.cut()
  await published
  await until(() => bodies.length === 2)
  expect(bodies).toEqual(['0', '1'])
})
