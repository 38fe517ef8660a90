/**
 * The partition of a key: FNV-1a over the key's UTF-16 code units, folded. Stable for ever: it decides where the messages
 * of a key are, so changing it would break the order of every stored topic.
 */
export function partitionOf(key: string, partitions: number): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  }
  // The low bits of FNV mix least.
  hash ^= hash >>> 15
  return (hash >>> 0) % partitions
}
