import type { Delivery, Verdict } from '../../../broker/index.ts'
import { altered, delivering, publishing, sending, subscribing } from './altered.ts'
import type { Defect } from './defect.ts'

const ack: Verdict = { ack: true }

/** Losing, repeating, reordering, handing out too much. */
export const deliveryDefects: readonly Defect[] = [
  {
    does: 'loses one message in a thousand',
    base: 'memory',
    caughtBy: 'loses none of 5,000 messages of concurrent publishers and, while nothing fails, delivers each once',
    saying: /5000 deliveries of group .* 4995 came/,
    wrap(broker) {
      let count = 0
      return publishing(broker, (batch) => batch.filter(() => ++count % 1_000 !== 0))
    },
  },
  {
    does: 'delivers one message in a hundred twice',
    base: 'memory',
    caughtBy: 'loses none of 5,000 messages of concurrent publishers and, while nothing fails, delivers each once',
    saying: /messages came more than once/,
    wrap(broker) {
      let count = 0
      return delivering(broker, (deliver) => (delivery) => {
        if (++count % 100 === 0) void deliver(delivery)
        return deliver(delivery)
      })
    },
  },
  {
    does: 'stores a batch in the wrong order',
    base: 'memory',
    caughtBy: 'messages of one key are delivered in the order of their batch',
    saying: /key k\d+: \d+ came after \d+/,
    wrap: (broker) => publishing(broker, (batch) => batch.toReversed()),
  },
  {
    does: 'lets a later publish overtake an earlier one',
    base: 'memory',
    caughtBy: 'messages of one key are delivered in the order of the calls, also of calls that are not awaited',
    saying: /key k\d+: \d+ came after \d+/,
    wrap(broker) {
      let count = 0
      const publish: typeof broker.publish = async (batch) => {
        if (++count % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        return broker.publish(batch)
      }
      return altered(broker, { publish })
    },
  },
  {
    does: 'acks before the handler has settled',
    base: 'memory',
    caughtBy: 'with unsettled deliveries at the limit nothing more is handed out until one is settled',
    saying: /10 !== 3/,
    wrap: (broker) => delivering(broker, (deliver) => (delivery) => early(deliver(delivery))),
  },
  {
    does: 'acks on disk before the handler has settled',
    base: 'sqlite',
    caughtBy: 'a consumer killed with -9 in its handler: the message comes again',
    saying: /1 messages; 1 never came/,
    wrap: (broker) => delivering(broker, (deliver) => (delivery) => early(deliver(delivery))),
  },
  {
    does: 'hands out one more than prefetch',
    base: 'memory',
    caughtBy: 'at most prefetch deliveries are unsettled, and the window is used to the full',
    saying: /8 !== 7/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, prefetch: spec.prefetch + 1 })),
  },
  {
    does: 'uses half of prefetch',
    base: 'memory',
    caughtBy: 'at most prefetch deliveries are unsettled, and the window is used to the full',
    saying: /4 !== 7/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, prefetch: Math.ceil(spec.prefetch / 2) })),
  },
  {
    does: 'reads the whole backlog into memory',
    base: 'sqlite',
    caughtBy: 'memory stays flat under a large backlog with prefetch 10',
    saying: /bytes of heap, \d+ with a small backlog/,
    wrap: (broker) =>
      altered(broker, {
        async subscribe(spec, deliver) {
          const waiting: (() => void)[] = []
          let running = 0
          const run = async (delivery: Delivery): Promise<Verdict> => {
            if (running >= spec.prefetch) await new Promise<void>((resolve) => waiting.push(resolve))
            running += 1
            const verdict = await deliver(delivery)
            running -= 1
            waiting.shift()?.()
            return verdict
          }
          return broker.subscribe({ ...spec, prefetch: 1_000_000 }, run)
        },
      }),
  },
  {
    does: 'confirms before it has stored',
    base: 'sqlite',
    caughtBy: 'publish resolves only when confirmed: another process can read it at once, with the publisher killed',
    saying: /20 messages; 20 never came/,
    wrap: (broker) =>
      altered(broker, {
        publish: async (batch) => {
          setTimeout(() => void broker.publish(batch), 1_000)
        },
      }),
  },
  {
    does: 'sends to every topic that it knows',
    base: 'memory',
    caughtBy: 'topics are kept apart',
    saying: /40 !== 20/,
    wrap(broker) {
      const topics = new Set<string>()
      const leaking = publishing(broker, (batch) =>
        batch.flatMap((one) => [
          one,
          ...[...topics].filter((topic) => topic !== one.topic).map((topic) => ({ ...one, topic })),
        ]),
      )
      return altered(leaking, {
        subscribe(spec, deliver) {
          for (const topic of spec.topics) topics.add(topic)
          return broker.subscribe(spec, deliver)
        },
      })
    },
  },
  {
    does: 'delivers a delayed message early',
    base: 'memory',
    caughtBy: 'a delayed message never comes early, and comes',
    saying: /a message came \d+ ms early/,
    wrap: (broker) =>
      sending(broker, (one) => (one.deliverAt === undefined ? one : { ...one, deliverAt: one.deliverAt - 600 })),
  },
  {
    does: 'says that it cannot delay and ignores a delay',
    base: 'memory',
    caughtBy: 'a broker that cannot delay refuses a delay and sends nothing',
    saying: /a delay did not reject/,
    wrap: (broker) =>
      altered(
        sending(broker, ({ topic, message }) => ({ topic, message })),
        { capabilities: { ...broker.capabilities, delay: false } },
      ),
  },
]

function early(verdict: Verdict | PromiseLike<Verdict>): Verdict {
  void verdict
  return ack
}
