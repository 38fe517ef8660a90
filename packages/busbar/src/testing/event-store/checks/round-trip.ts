import assert from 'node:assert/strict'
import type { EncodedMessage } from '../../../message/message.ts'
import { uuidv7 } from '../../../message/uuid.ts'
import { assertSame, message } from '../../suite/messages.ts'
import { rejects } from '../../suite/rejects.ts'
import type { StorageCheck } from '../check.ts'
import type { StorageContext } from '../context.ts'
import { all, append, event, everything, to, upTo } from '../events.ts'

/** What goes in comes out as it was. */
export const roundTripChecks: readonly StorageCheck[] = [
  {
    name: 'id, type, source, time to the millisecond, version, revision and priority come back as they were',
    run: (ctx) =>
      comesBack(ctx, {
        type: 'com.shop.OrderPlaced/v2',
        kind: 'command',
        source: 'https://shop.example/orders?a=1&b=2',
        subject: 'order-42',
        key: 'order-42',
        time: new Date('1999-12-31T23:59:59.987Z'),
        version: 17,
        revision: 4_711,
        priority: 'critical',
      }),
  },
  {
    name: 'what an event does not have stays absent, and a key that differs from the subject stays so',
    async run(ctx) {
      await comesBack(
        ctx,
        {},
        { subject: 'the subject' },
        { key: 'the key' },
        { subject: 'the subject', key: 'the key' },
      )
    },
  },
  {
    name: 'metadata comes back as it was: correlation, causation, user, tenant, trace and a hundred of its own',
    async run(ctx) {
      const own = Object.fromEntries(upTo(100).map((n) => [`x-own-${n}`, n % 10 === 0 ? '' : `wert ${n} äöü 😀 "'`]))
      const metadata = {
        correlationId: uuidv7(),
        causationId: uuidv7(),
        userId: 'ü@example.org',
        tenantId: 'tenant 1',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
        ...own,
        long: 'x'.repeat(5_000),
      }
      await comesBack(ctx, { metadata })
    },
  },
  {
    name: 'text comes back as it was: unicode, line ends, quotes, and what looks like JSON, SQL or Lua',
    async run(ctx) {
      const texts = [
        '{"a":1}',
        'äöü ß 漢字 🏳️‍🌈 \u{1F600}',
        '\r\n\t\u001f',
        `'"\`; DROP TABLE x; --`,
        '%s %d {{x}} ${y} \\',
        ' ',
        'null',
      ]
      await comesBack(ctx, ...texts.map((body) => ({ body, contentType: 'text/plain; charset=utf-8' })))
    },
  },
  {
    name: 'text with U+0000 or a lone surrogate comes back as it was, or is refused with EncodeError and nothing is written',
    async run(ctx) {
      for (const body of ['a\u0000b', 'a\ud800b']) {
        const storage = await ctx.storage()
        const given = [event(), event({ body, contentType: 'text/plain; charset=utf-8' })]
        const before = await storage.head()
        const error = await append(storage, 'texts-1', given).then(
          () => undefined,
          (reason: unknown) => reason as Error,
        )
        if (error === undefined) {
          const stored = await all(storage.readStream('texts-1'))
          assert.deepEqual(stored.at(-1)?.message.body, body)
        } else {
          assert.equal(error.name, 'EncodeError', String(error))
          assert.deepEqual(await storage.head(), before)
        }
      }
    },
  },
  {
    name: 'bytes come back as they were: all 256 of them, and such as are no UTF-8',
    async run(ctx) {
      const bodies = [
        Uint8Array.from(upTo(256)),
        Uint8Array.of(0),
        Uint8Array.of(0xff, 0xfe, 0xc3, 0x28),
        Uint8Array.from(upTo(256)).subarray(3, 9),
      ]
      await comesBack(ctx, ...bodies.map((body) => ({ body, contentType: 'application/octet-stream' })))
    },
  },
  {
    name: 'an empty text and no bytes at all come back as what they were',
    run: (ctx) => comesBack(ctx, { body: '' }, { body: new Uint8Array(), contentType: 'application/octet-stream' }),
  },
  {
    name: 'a megabyte comes back as it was, as text and as bytes',
    async run(ctx) {
      const size = 1024 * 1024
      const bytes = Uint8Array.from({ length: size }, (_, n) => (n * 31 + (n >> 8)) & 0xff)
      await comesBack(ctx, { body: 'äx漢'.repeat(size / 6) }, { body: bytes, contentType: 'application/octet-stream' })
    },
  },
  {
    name: 'a body as large as the limit is taken',
    heavy: true,
    async run(ctx) {
      const { maxEventBytes } = ctx.capabilities
      const body = 'x'.repeat(Math.min(maxEventBytes, 64 * 1024 * 1024))
      const storage = await ctx.storage()
      await append(storage, 'order-1', [event({ body })])
      const [stored] = await all(storage.readStream('order-1'))
      assert.ok(stored?.message.body === body, 'the body came back altered')
    },
  },
  {
    name: 'a body over the limit is refused with MessageTooLargeError before anything of its append is written',
    heavy: true,
    async run(ctx) {
      const { maxEventBytes } = ctx.capabilities
      const storage = await ctx.storage()
      await append(storage, 'order-1', 1)
      const before = await everything(storage, 'order-1', 'order-2')
      // Characters of two bytes: it is bytes that are counted.
      for (const body of ['ä'.repeat(Math.floor(maxEventBytes / 2) + 1), new Uint8Array(maxEventBytes + 1)]) {
        const large = (): Promise<unknown> =>
          storage.append([to('order-2', 2), to('order-1', [event(), event({ body })])])
        await rejects(large, 'MessageTooLargeError', 'an event over the limit')
      }
      assert.deepEqual(await everything(storage, 'order-1', 'order-2'), before)
    },
  },
  {
    name: 'the topic of an event comes back as it was',
    async run(ctx) {
      const storage = await ctx.storage()
      const topics = ['events', 'orders.v2', 'Über/{topic}:1', 'with space']
      await append(
        storage,
        'order-1',
        topics.map((topic) => ({ topic, message: message() })),
      )
      const stored = await all(storage.readAll())
      assert.deepEqual(
        stored.map(({ topic }) => topic),
        topics,
      )
    },
  },
  {
    name: 'what is changed after it was appended, or after it was read, changes nothing in the store',
    // Within a process the layer above copies what it hands over.
    needs: (c) => !c.inProcess,
    async run(ctx) {
      const storage = await ctx.storage()
      const body = Uint8Array.of(1, 2, 3)
      const given = { topic: 'events', message: message({ body, contentType: 'application/octet-stream' }) }
      const metadata = given.message.metadata as Record<string, string>
      const list = [given]
      await append(storage, 'order-1', list)
      body.fill(9)
      metadata['correlationId'] = 'changed'
      list.push({ topic: 'events', message: message() })
      const read = async (): Promise<readonly number[]> => {
        const stored = await all(storage.readStream('order-1'))
        assert.equal(stored.length, 1)
        const message = stored[0]?.message
        assert.ok(message?.body instanceof Uint8Array)
        assert.notEqual(message.metadata.correlationId, 'changed')
        const bytes = [...message.body]
        message.body.fill(7)
        return bytes
      }
      assert.deepEqual(await read(), [1, 2, 3])
      assert.deepEqual(await read(), [1, 2, 3])
    },
  },
  {
    name: 'names of streams are what they are: unicode, spaces, quotes, braces, patterns and 512 characters',
    async run(ctx) {
      const storage = await ctx.storage()
      const names = [
        'bestellung-ÄÖÜ-漢字-🏳️‍🌈',
        'with space -1',
        `o'neill"s-1`,
        '{order}-1',
        'order:1:*',
        'order-%_',
        "x'; DROP TABLE events; --",
        '-',
        '-1',
        '1',
        'ORDER-1',
        'order-1',
        'order-1 ',
        'e\u0301-1',
        '\u00e9-1',
        'x'.repeat(512),
      ]
      for (const [n, name] of names.entries()) await append(storage, name, n + 1, 'none')
      for (const [n, name] of names.entries()) {
        const stored = await all(storage.readStream(name))
        assert.equal(stored.length, n + 1, `stream '${name}' is not the only one of its name`)
        assert.ok(stored.every(({ stream }) => stream === name))
        assert.equal((await storage.info(name)).revision, n)
      }
    },
  },
  {
    name: 'names that no stream can have are refused with AppendError, and nothing is written',
    async run(ctx) {
      const storage = await ctx.storage()
      for (const name of ['', 'x'.repeat(513), 'a\u0000b', 'line\nend', 42, null, undefined]) {
        await rejects(() => append(storage, name as string, 1), 'AppendError', `a stream named ${JSON.stringify(name)}`)
      }
      assert.deepEqual(await storage.head(), { position: '', count: 0 })
    },
  },
  {
    name: 'what one process appends another reads exactly as it was',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [storage, child] = await Promise.all([ctx.storage(), ctx.child()])
      const given = [
        event({ subject: 's', key: 'k', priority: 'low', revision: 3, body: 'äöü 漢字' }),
        event({ body: Uint8Array.from(upTo(256)), contentType: 'application/octet-stream' }),
      ]
      await child.append(to('order-1', given))
      for (const [n, { message: read }] of (await all(storage.readStream('order-1'))).entries()) {
        assertSame(read, given[n]?.message ?? read)
      }
      for (const [n, { message: read }] of (await child.read('readAll')).entries())
        assertSame(read, given[n]?.message ?? read)
    },
  },
]

/** Fails unless each comes back as it was, however it is read. */
async function comesBack(ctx: StorageContext, ...given: readonly Partial<EncodedMessage>[]): Promise<void> {
  const storage = await ctx.storage()
  const sent = given.map((one) => event(one))
  await append(storage, 'order-1', sent)
  const readings = [storage.readStream('order-1'), storage.readAll()]
  for (const reading of readings) {
    const stored = await all(reading)
    assert.equal(stored.length, sent.length)
    for (const [n, { message: read }] of stored.entries()) assertSame(read, sent[n]?.message ?? read)
  }
  for (const { message: one } of sent) {
    const [read] = await all(storage.readByCorrelation(one.metadata.correlationId))
    assert.ok(read !== undefined, 'it was not found by its correlation id')
    assertSame(read.message, one)
  }
}
