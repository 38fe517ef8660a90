import { type Broker, PublishError } from '../broker/index.ts'
import { byLine, isForGood, isOurs, type Item } from './item.ts'

/** What a publish came to. */
export interface Sent {
  /** What was not confirmed, with the reason. */
  readonly failures: ReadonlyMap<Item, Error>
  /** The other side said nothing of single messages: it may be away, or one of them may be at fault. */
  readonly whole: boolean
}

const ALL_SENT: Sent = { failures: new Map(), whole: false }

/** Publishes once. What the other side can never take costs the others of its batch nothing. */
export async function send(to: Broker, items: readonly Item[]): Promise<Sent> {
  try {
    await to.publish(items.map(({ outgoing }) => outgoing))
    return ALL_SENT
  } catch (error) {
    if (error instanceof PublishError) {
      const failures = error.failed.flatMap((one) => entry(items[one.index], one.error))
      return { failures: new Map(failures), whole: false }
    }
    // Nothing of the batch was sent. If that is because of some of them, the others must not pay for it.
    const reason = error instanceof Error ? error : new Error(String(error))
    if (!isForGood(reason) || items.length === 1) {
      return { failures: new Map(items.map((item) => [item, reason])), whole: !isForGood(reason) }
    }
    return await oneByOne(to, items)
  }
}

/** Stops at the first that fails for a while: what is behind it may have its key. */
async function oneByOne(to: Broker, items: readonly Item[]): Promise<Sent> {
  const failures = new Map<Item, Error>()
  for (const [index, item] of items.entries()) {
    const [failure] = (await send(to, [item])).failures.values()
    if (failure === undefined) continue
    if (!isForGood(failure)) {
      for (const later of items.slice(index)) failures.set(later, failure)
      return { failures, whole: false }
    }
    failures.set(item, failure)
  }
  return { failures, whole: false }
}

/** Keys that may fail by themselves before the other side counts as away. */
const SUSPECTS = 2

export interface Isolated {
  readonly failures: ReadonlyMap<Item, Error>
  /** Not tried, or not by themselves: the other side seems to be away. */
  readonly untried: readonly Item[]
}

/**
 * A batch failed as a whole: finds the keys that are at fault by halves. A key that fails by itself is at fault; where the
 * first few do and nothing arrives, it is the other side, and the rest is not to blame.
 *
 * @param done Told of what was confirmed, as soon as it is.
 */
export async function isolate(
  to: Broker,
  items: readonly Item[],
  done: (confirmed: readonly Item[]) => void,
): Promise<Isolated> {
  const failures = new Map<Item, Error>()
  const untried: Item[] = []
  const parts = [byLine(items)]
  let arrived = false
  let alone = 0
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const some = part.flat().filter(isOurs)
    if (some.length === 0) continue
    if (!arrived && alone >= SUSPECTS) {
      untried.push(...some)
      continue
    }
    const sent = await send(to, some)
    if (sent.whole && part.length > 1) {
      const middle = part.length >> 1
      // The first half is the next to be tried.
      parts.push(part.slice(middle), part.slice(0, middle))
      continue
    }
    if (sent.whole) alone++
    const confirmed = some.filter((item) => !sent.failures.has(item))
    arrived ||= confirmed.length > 0
    done(confirmed)
    for (const [item, error] of sent.failures) failures.set(item, error)
  }
  return { failures, untried }
}

function entry(item: Item | undefined, error: Error): [Item, Error][] {
  return item === undefined ? [] : [[item, error]]
}
