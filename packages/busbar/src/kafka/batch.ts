/**
 * A batch of records as Kafka stores it (format 2). The client's own writer makes several buffers for every header of every
 * record; here all of a batch is written into one.
 */

/** What is written, without its place. */
export interface ToWrite {
  readonly key?: Buffer
  /** Null: deletes what a compacted topic keeps of the key. */
  readonly value: Buffer | null
  readonly headers?: readonly (readonly [name: Buffer, value: string])[]
  /** Bytes at most. */
  readonly size: number
}

/** From whom the batch is, and which of his records is its first. */
export interface Numbered {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly sequence: number
}

interface Compression {
  readonly bitmask: number
  compressSync(bytes: Buffer): Buffer
}

/** Offset, length, epoch of the leader, magic and checksum; then what the checksum is of. */
const HEAD = 21
const RECORDS = 61
const MAGIC = 2
/** Numbers of one record, at most: of five bytes each. */
const NUMBERS = 6 * 5

/** Bytes of a record beside those of key, value and headers, at most. */
export const RECORD_ROOM = NUMBERS + 8

export function encodeBatch(
  records: readonly ToWrite[],
  from: Numbered,
  now: number,
  crc32c: (bytes: Buffer) => number,
  compression?: Compression,
): Buffer {
  let most = RECORDS
  for (const { size } of records) most += size + RECORD_ROOM
  const writer = new RecordWriter(Buffer.allocUnsafe(most))
  writer.at = RECORDS
  for (let index = 0; index < records.length; index++) writer.record(records[index] as ToWrite, index)
  const plain = writer.bytes.subarray(0, writer.at)
  if (compression === undefined) return headed(plain, records.length, from, now, 0, crc32c)
  const packed = Buffer.concat([plain.subarray(0, RECORDS), compression.compressSync(plain.subarray(RECORDS))])
  return headed(packed, records.length, from, now, compression.bitmask, crc32c)
}

function headed(
  batch: Buffer,
  count: number,
  { producerId, producerEpoch, sequence }: Numbered,
  now: number,
  attributes: number,
  crc32c: (bytes: Buffer) => number,
): Buffer {
  const time = BigInt(now)
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(-1, 12)
  batch.writeInt8(MAGIC, 16)
  batch.writeInt16BE(attributes, HEAD)
  batch.writeInt32BE(count - 1, 23)
  batch.writeBigInt64BE(time, 27)
  batch.writeBigInt64BE(time, 35)
  batch.writeBigInt64BE(producerId, 43)
  batch.writeInt16BE(producerEpoch, 51)
  batch.writeInt32BE(sequence, 53)
  batch.writeInt32BE(count, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(HEAD)) >>> 0, 17)
  return batch
}

class RecordWriter {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  record({ key, value, headers = [] }: ToWrite, index: number): void {
    // Its length comes first, and is known last: it takes its place when it is.
    const start = this.at
    this.at += 5
    const begin = this.at
    this.bytes[this.at++] = 0
    this.number(0)
    this.number(index)
    this.block(key)
    this.block(value)
    this.number(headers.length)
    for (const [name, text] of headers) {
      this.block(name)
      this.text(text)
    }
    const length = this.at - begin
    this.at = start
    this.number(length)
    this.bytes.copyWithin(this.at, begin, begin + length)
    this.at += length
  }

  private block(block: Buffer | null | undefined): void {
    if (block === null || block === undefined) return this.number(-1)
    this.number(block.length)
    const { bytes } = this
    // Short ones are quicker copied by hand.
    if (block.length > 32) bytes.set(block, this.at)
    else for (let n = 0; n < block.length; n++) bytes[this.at + n] = block[n] as number
    this.at += block.length
  }

  private text(text: string): void {
    // One byte tells up to 63 bytes: so many are 21 characters at most, whatever they are.
    if (text.length > 21) {
      this.number(Buffer.byteLength(text))
      this.at += this.bytes.write(text, this.at)
      return
    }
    const written = this.bytes.write(text, this.at + 1)
    this.bytes[this.at] = written << 1
    this.at += 1 + written
  }

  /** Zigzag, seven bits a byte. */
  private number(n: number): void {
    let rest = ((n << 1) ^ (n >> 31)) >>> 0
    while (rest > 0x7f) {
      this.bytes[this.at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.bytes[this.at++] = rest
  }
}
