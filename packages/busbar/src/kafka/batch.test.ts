import * as client from '@platformatic/kafka'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeBatch, type ToWrite } from './batch.ts'

const from = { producerId: 7n, producerEpoch: 1, sequence: 42 }
const bytes = fc.uint8Array({ maxLength: 200 }).map((each) => Buffer.from(each))

const record = fc
  .record({
    key: fc.option(bytes, { nil: undefined }),
    value: fc.option(bytes),
    headers: fc.array(fc.tuple(bytes, fc.string({ unit: 'grapheme', maxLength: 80 })), { maxLength: 5 }),
  })
  .map(({ key, value, headers }): ToWrite => {
    const size =
      (key?.length ?? 0) +
      (value?.length ?? 0) +
      headers.reduce((sum, [name, text]) => sum + name.length + Buffer.byteLength(text) + 10, 0)
    return { ...(key === undefined ? {} : { key }), value, headers, size }
  })

test.each([undefined, 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
  'a batch is read by the client as it was written (%s)',
  (name) => {
    const compression = name === undefined ? undefined : client.compressionsAlgorithms[name]
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
        const encoded = encodeBatch(records, from, 1_700_000_000_000, (part) => client.crc32c(part), compression)
        const read = client.readRecordsBatch(client.Reader.from(encoded))
        expect(read).toMatchObject({
          firstOffset: 0n,
          length: encoded.length - 12,
          magic: 2,
          lastOffsetDelta: records.length - 1,
          firstTimestamp: 1_700_000_000_000n,
          maxTimestamp: 1_700_000_000_000n,
          producerId: 7n,
          producerEpoch: 1,
          firstSequence: 42,
        })
        expect(read.crc).toBe(client.crc32c(encoded.subarray(21)) >>> 0)
        expect(read.records.map(({ offsetDelta }) => offsetDelta)).toEqual(records.map((_, index) => index))
        for (const [index, { key, value, headers }] of read.records.entries()) {
          const written = records[index]
          expect(key).toEqual(written?.key ?? null)
          expect(value).toEqual(written?.value ?? null)
          expect(headers).toEqual(written?.headers?.map(([header, text]) => [header, Buffer.from(text.toWellFormed())]))
        }
      }),
      { numRuns: 50 },
    )
  },
)
