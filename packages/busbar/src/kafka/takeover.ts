import { afterCrash, decode } from './cursor.ts'
import type { KafkaContext } from './context.ts'
import { committedOf, EARLIEST, LATEST, listOffsets } from './offsets.ts'
import type { OwnedPartition } from './partition.ts'

/**
 * Takes partitions over from whoever had them before: each goes on where the group was, with what is still open. Where the
 * group has never been it begins at one end of the log, which is decided here, once. Resolves when the group's place is stored in
 * our name, from which moment on a crash of ours is told from a crash of the owner before.
 */
export async function takeOver(
  { cluster, names }: KafkaContext,
  group: string,
  from: 'latest' | 'earliest',
  partitions: readonly OwnedPartition[],
): Promise<void> {
  const byLog = Map.groupBy(partitions, ({ topic }) => topic.log)
  const asked = new Map([...byLog].map(([log, some]) => [log, some.map(({ partition }) => partition)]))
  const committed = await committedOf(cluster, names.group(group), asked)
  await Promise.all(
    [...byLog].map(async ([log, some]) => {
      const all = some.map(({ partition }) => partition)
      const isNew = some.some(({ partition }) => committed.get(log)?.get(partition) === undefined)
      const [ends, firsts] = await Promise.all([
        listOffsets(cluster, log, all, LATEST),
        isNew && from === 'earliest' ? listOffsets(cluster, log, all, EARLIEST) : undefined,
      ])
      for (const owned of some) {
        const end = ends.get(owned.partition) ?? 0
        const known = committed.get(log)?.get(owned.partition)
        if (known === undefined) {
          const first = firsts?.get(owned.partition) ?? end
          owned.inherit(first, first, [])
          continue
        }
        const place = decode(known.offset, known.metadata)
        if (place === undefined) {
          owned.inherit(known.offset, known.offset, [])
          continue
        }
        const open = place.clean ? place.open : afterCrash(place, end)
        const handed = open.findLast(({ aside }) => !aside)?.offset ?? -1
        owned.inherit(place.offset, Math.max(place.handed, handed + 1), open)
      }
    }),
  )
  await Promise.all(partitions.map((owned) => owned.intake.start()))
  await Promise.all(partitions.map((owned) => owned.whenCommitted()))
}

/** Resolves when the group has a place in all partitions of its topics: nothing that comes now is before its beginning. */
export async function hasBegun(
  { cluster, names }: KafkaContext,
  group: string,
  topics: ReadonlyMap<string, readonly number[]>,
): Promise<boolean> {
  const committed = await committedOf(cluster, names.group(group), topics)
  return [...topics].every(([log, partitions]) =>
    partitions.every((partition) => committed.get(log)?.has(partition) === true),
  )
}
