/**
 * The partition of a key as the clients of Java and librdkafka choose it: murmur2 over the key's bytes. So what other
 * programs write with the same key falls into the same partition, and order by key holds over all of them; Busbar's own hash
 * would not do that.
 */
export function partitionOfKey(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitions
}

const M = 0x5bd1e995

/** MurmurHash2 of 32 bits with Kafka's seed, as a signed number. */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes
  let hash = 0x9747b28c ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let k = byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24)
    k = Math.imul(k, M)
    k ^= k >>> 24
    hash = Math.imul(hash, M) ^ Math.imul(k, M)
  }
  const left = length - at
  if (left >= 3) hash ^= byte(bytes, at + 2) << 16
  if (left >= 2) hash ^= byte(bytes, at + 1) << 8
  if (left >= 1) hash = Math.imul(hash ^ byte(bytes, at), M)
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  return hash ^ (hash >>> 15)
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}
