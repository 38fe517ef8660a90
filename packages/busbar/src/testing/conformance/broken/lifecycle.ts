import { setTimeout as later } from 'node:timers/promises'
import type { BrokerSubscription } from '../../../broker/index.ts'
import { altered, showing } from './altered.ts'
import type { Defect } from './defect.ts'

/** Starting, stopping and telling, done wrong. */
export const lifecycleDefects: readonly Defect[] = [
  {
    does: 'goes on handing out after stop',
    base: 'memory',
    caughtBy: 'nothing is handed out from the moment that a subscription is stopped',
    saying: /\d+ !== \d+/,
    wrap: (broker) =>
      altered(broker, {
        async subscribe(spec, deliver) {
          const subscription = await broker.subscribe(spec, deliver)
          return { stop: () => Promise.resolve(void later(100).then(() => subscription.stop())) }
        },
      }),
  },
  {
    does: 'does not wait for handlers when it is stopped',
    base: 'memory',
    caughtBy: 'stop waits for deliveries that are being handled',
    saying: /stop did not wait/,
    wrap: (broker) => stopping(broker, (subscription) => subscription.stop({ deadline: 0 })),
  },
  {
    does: 'waits for handlers beyond the deadline',
    base: 'memory',
    caughtBy: 'stop ends by its deadline, aborts the signals, and what is unsettled comes again',
    saying: /did not happen within 10000 ms: stop by its deadline/,
    wrap: (broker) => stopping(broker, (subscription) => subscription.stop()),
  },
  {
    does: 'never aborts a signal',
    base: 'memory',
    caughtBy: 'stop ends by its deadline, aborts the signals, and what is unsettled comes again',
    saying: /false == true|falsy/,
    wrap: (broker) => showing(broker, () => ({ signal: new AbortController().signal })),
  },
  {
    does: 'publishes after it was stopped',
    base: 'memory',
    caughtBy: 'a stopped broker refuses to publish, subscribe and be pinged',
    saying: /a publish after stop did not reject/,
    wrap: (broker) => altered(broker, { publish: (batch) => broker.publish(batch).catch(() => undefined) }),
  },
  {
    does: 'leaks a timer with each subscription',
    base: 'memory',
    caughtBy: 'a hundred subscribe and unsubscribe cycles leak nothing, and the next member gets each message once',
    saying: /timers and handles of ended subscriptions to be gone/,
    wrap: (broker) =>
      altered(broker, {
        subscribe(spec, deliver) {
          setInterval(() => undefined, 1_000)
          return broker.subscribe(spec, deliver)
        },
      }),
  },
  {
    does: 'tells a lag of nothing',
    base: 'memory',
    caughtBy: 'metrics tell lag, in flight, redelivering, dead, depth and delayed as they are',
    saying: /"lag":18.* they say .*"lag":0/,
    wrap: (broker) =>
      altered(broker, {
        async metrics() {
          const { topics, groups } = await broker.metrics()
          return { topics, groups: groups.map((group) => ({ ...group, lag: 0 })) }
        },
      }),
  },
]

function stopping(
  broker: Parameters<Defect['wrap']>[0],
  stop: (subscription: BrokerSubscription) => Promise<void>,
): ReturnType<Defect['wrap']> {
  return altered(broker, {
    async subscribe(spec, deliver) {
      const subscription = await broker.subscribe(spec, deliver)
      return { stop: () => stop(subscription) }
    },
  })
}
