/**
 * A process that publishes numbered messages of its own keys until it has published its count.
 *
 * What was not confirmed is published again, with the same id and before anything newer of its key, as an application
 * that wants order does. What its process was killed with is abandoned: the next one goes on with the next number.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { PublishError } from '../packages/busbar/src/broker/index.ts'
import { startedBus, told } from './bus.ts'
import { Happened, type Numbered } from './message.ts'
import { Random } from './random.ts'
import { job, type PublisherJob, say } from './words.ts'

const lanes = 8
const largestCall = 25

type Happening = ReturnType<typeof Happened.create>

const { place, seed, next: given, count, rate } = await job<PublisherJob>()
const next = new Map(Object.entries(given))
const random = new Random(seed, 'publisher')
const bus = await startedBus(place, async () => undefined)
await say({ ready: true })

const began = performance.now()
let left = count
const keys = [...next.keys()]
await Promise.all(Array.from({ length: lanes }, (_, lane) => run(keys.filter((_key, at) => at % lanes === lane))))
await say({ done: true })
await bus.stop()
process.exit(0)

/** One call at a time; lanes have no key in common. */
async function run(own: readonly string[]): Promise<void> {
  for (;;) {
    const due = (count - left) / rate - (performance.now() - began) / 1_000
    if (due > 0) await sleep(due * 1_000)
    const size = Math.min(left, random.whole(1, largestCall))
    if (size === 0) return
    left -= size
    await publish(Array.from({ length: size }, () => numbered(own[random.whole(0, own.length - 1)] ?? '')))
  }
}

function numbered(key: string): Numbered {
  const n = next.get(key) ?? 0
  next.set(key, n + 1)
  return { key, n }
}

async function publish(numbers: readonly Numbered[]): Promise<void> {
  await say({ published: numbers })
  let open: readonly Happening[] = numbers.map((one) => Happened.create(one))
  while (open.length > 0) {
    const refused = await attempt(open)
    const confirmed = open.filter((one) => !refused.has(one.id))
    await say({ confirmed: confirmed.map(({ data }) => data) })
    // One that a newer message of its key has passed is abandoned: published now it would come after that one.
    const passed = new Map<string, number>()
    for (const { data } of confirmed) passed.set(data.key, Math.max(data.n, passed.get(data.key) ?? -1))
    open = open.filter(({ id, data }) => refused.has(id) && data.n > (passed.get(data.key) ?? -1))
    if (open.length > 0) await sleep(random.between(20, 200))
  }
}

/** Ids of those that were not confirmed. */
async function attempt(messages: readonly Happening[]): Promise<ReadonlySet<string>> {
  const watch = setTimeout(() => void say({ trouble: 'publish: neither confirmed nor refused for 10 s' }), 10_000)
  try {
    await bus.publish(messages)
    return new Set()
  } catch (error) {
    await say({ trouble: `publish: ${told(error)}` })
    return new Set((error instanceof PublishError ? error.failed : messages).map(({ id }) => id))
  } finally {
    clearTimeout(watch)
  }
}
