import assert from 'node:assert/strict'
import { Snapshot } from '../../../message/message.ts'
import type { EncodedMessage, MessageKind, Priority } from '../../../message/message.ts'
import type { CheckContext } from '../context.ts'
import { assertSame, message } from '../../suite/messages.ts'
import type { Check } from '../check.ts'
import { rejects } from '../verdicts.ts'

/** What goes in comes out, byte for byte. */
export const roundTripChecks: readonly Check[] = [
  {
    name: 'a body of all 256 bytes comes back as it was',
    run: (ctx) => roundTrip(ctx, bytes(Uint8Array.from({ length: 256 }, (_, n) => n))),
  },
  {
    name: 'bytes that look like text stay bytes, and text that looks like bytes stays text',
    run: (ctx) =>
      roundTrip(
        ctx,
        bytes(new TextEncoder().encode('{"a":1}')),
        message({ body: '\u0001\u0002', contentType: 'text/plain' }),
      ),
  },
  {
    name: 'bytes that are not valid UTF-8 come back as they were',
    run: (ctx) => roundTrip(ctx, bytes(Uint8Array.of(0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x00, 0x0a))),
  },
  {
    name: 'empty bodies come back empty, of their own kind',
    run: (ctx) => roundTrip(ctx, message({ body: '', contentType: 'text/plain' }), bytes(new Uint8Array(0))),
  },
  {
    name: 'unicode in the body comes back as it was',
    run: (ctx) => roundTrip(ctx, ...unicode.map((text) => message({ body: JSON.stringify({ text }) }))),
  },
  {
    name: 'unicode in attributes and headers comes back as it was',
    run: (ctx) =>
      roundTrip(
        ctx,
        ...unicode.map((text) =>
          message({ subject: text, key: text, source: text, metadata: { correlationId: text, tenantId: text } }),
        ),
      ),
  },
  {
    name: 'quotes, line ends, percent signs and separators in attributes and headers come back as they were',
    run: (ctx) =>
      roundTrip(
        ctx,
        ...[
          '"',
          "'",
          '\\',
          'a\nb',
          'a\r\nb: c',
          '%41%',
          ';,=',
          '  spaces  ',
          '\t',
          '$1 ? :x @p',
          '--',
          '*',
          '/a/b',
        ].map((text) => message({ subject: text, key: text, metadata: { correlationId: text, odd: text } })),
      ),
  },
  {
    name: 'bodies of 1 MB, text and bytes, come back as they were',
    needs: (c) => c.maxMessageBytes >= 1_100_000,
    run: (ctx) =>
      roundTrip(
        ctx,
        message({ body: JSON.stringify({ text: 'ä'.repeat(500_000) }) }),
        bytes(Uint8Array.from({ length: 1_000_000 }, (_, n) => (n * 31 + (n >> 8)) & 0xff)),
      ),
  },
  {
    name: 'a hundred headers, empty and long ones too, come back as they were',
    run: (ctx) => {
      const many = Object.fromEntries(Array.from({ length: 97 }, (_, n) => [`x-header-${n}`, `value ${n}`]))
      return roundTrip(ctx, message({ metadata: { correlationId: 'c', ...many, empty: '', long: 'x'.repeat(4_000) } }))
    },
  },
  {
    name: 'header names with dots, dashes and underscores come back as they were',
    run: (ctx) =>
      roundTrip(
        ctx,
        message({ metadata: { correlationId: 'c', 'x-a': '1', 'a.b': '2', a_b: '3', 'a-b': '4', '1': '5' } }),
      ),
  },
  {
    name: 'trace headers come back as they were',
    run: (ctx) =>
      roundTrip(
        ctx,
        message({
          metadata: {
            correlationId: 'c',
            causationId: 'd',
            traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
            tracestate: 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
            userId: 'u',
            tenantId: 't',
          },
        }),
      ),
  },
  {
    name: 'id, type, source, time to the millisecond, version and revision come back as they were',
    run: (ctx) =>
      roundTrip(
        ctx,
        message({ id: 'not-a-uuid', type: 'order.placed.v2', source: 'https://shop.example/orders?x=1' }),
        message({ time: new Date('2001-02-03T04:05:06.789Z'), version: 7, revision: 0 }),
        message({ time: new Date(0), revision: 2 ** 40 }),
        message({ time: new Date('2099-12-31T23:59:59.999Z'), contentType: 'application/cbor; profile="x y"' }),
      ),
  },
  {
    name: 'every kind and every priority comes back as it was',
    run: (ctx) => {
      const kinds: readonly MessageKind[] = ['event', 'command', 'query', 'reply']
      const priorities: readonly Priority[] = ['low', 'normal', 'high', 'critical']
      return roundTrip(
        ctx,
        ...kinds.map((kind) => message({ kind })),
        ...priorities.map((priority) => message({ priority })),
      )
    },
  },
  {
    name: 'what a message does not have stays absent, and a key that differs from the subject stays so',
    run: (ctx) =>
      roundTrip(
        ctx,
        message(),
        message({ subject: 's' }),
        message({ key: 'k' }),
        message({ subject: 's', key: 'k', revision: 1 }),
      ),
  },
  {
    name: 'bodies and headers come back as they were in another process',
    needs: (c) => c.multiProcess && c.durable && c.replay,
    async run(ctx) {
      const child = await ctx.child()
      const sent = [
        bytes(Uint8Array.from({ length: 256 }, (_, n) => 255 - n)),
        message({
          body: JSON.stringify(unicode),
          key: 'ключ',
          metadata: { correlationId: 'c', 'x-y': 'ü' },
          revision: 3,
        }),
      ]
      await child.publish(ctx.batch(...sent))
      const seen = await ctx.collect(await ctx.broker(), { from: 'earliest' })
      await seen.received(2)
      for (const one of sent) assertSame(seen.of(one.id)[0]?.message ?? message(), one)
    },
  },
  {
    name: 'a snapshot goes through a broker whose messages stay in the process',
    needs: (c) => c.inProcess,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const body = new Snapshot({ list: [1, 'two', { three: new Date(3) }] })
      await broker.publish(ctx.batch(message({ body })))
      await seen.received(1)
      assert.deepEqual(seen.deliveries[0]?.message.body, body)
    },
  },
  {
    name: 'a message over the size limit is refused before anything of its batch is sent',
    needs: (c) => !c.inProcess && c.maxMessageBytes <= 64 * 2 ** 20,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      const large = message({ key: 'k', body: 'x'.repeat(broker.capabilities.maxMessageBytes + 1) })
      const batch = ctx.batch(message({ key: 'k' }), large, message({ key: 'k' }))
      await rejects(() => broker.publish(batch), 'MessageTooLargeError', 'a message over the limit')
      await seen.fence(ctx.topic, ['k'])
      assert.equal(seen.deliveries.length, 0, 'a part of the refused batch was sent')
    },
  },
  {
    name: 'a body exactly as large as the limit is taken',
    needs: (c) => !c.inProcess && c.maxMessageBytes <= 64 * 2 ** 20,
    async run(ctx) {
      const broker = await ctx.broker()
      const seen = await ctx.collect(broker)
      await broker.publish(ctx.batch(message({ body: 'x'.repeat(broker.capabilities.maxMessageBytes) })))
      await seen.received(1)
      const { body } = seen.deliveries[0]?.message ?? message()
      assert.equal(typeof body === 'string' ? body.length : body, broker.capabilities.maxMessageBytes)
    },
  },
]

const unicode = [
  'äöüß',
  '日本語のテキスト',
  'שלום עולם',
  '👩‍👩‍👧‍👦 🏳️‍🌈 𝒳',
  'e\u0301 \u200d\u200b\ufeff',
  '\u2028\u2029\u0085',
  'İıſK',
]

function bytes(body: Uint8Array): EncodedMessage {
  return message({ body, contentType: 'application/octet-stream' })
}

async function roundTrip(ctx: CheckContext, ...sent: readonly EncodedMessage[]): Promise<void> {
  const broker = await ctx.broker()
  const seen = await ctx.collect(broker, { prefetch: 100 })
  await broker.publish(ctx.batch(...sent))
  await seen.receivedAll(sent.map(({ id }) => id))
  for (const one of sent) assertSame(seen.of(one.id)[0]?.message ?? message(), one)
}
