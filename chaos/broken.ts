/** A target whose broker breaks the promise that the setting `defect` names: what chaos is for must not pass it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker } from '../packages/busbar/src/broker/index.ts'
import { altered, delivering, publishing } from '../packages/busbar/src/testing/conformance/broken/altered.ts'
import type { ConformanceTarget, TargetOptions } from '../packages/busbar/src/testing/conformance/target.ts'
import * as sqlite from '../packages/busbar/src/testing/conformance/targets/sqlite.ts'

export const defects = {
  /** Loses what is in the handlers of a consumer that is killed. */
  'acks before the handler has run': (broker: Broker) =>
    delivering(broker, (deliver) => (delivery) => {
      void sleep(200).then(() => deliver(delivery))
      return { ack: true }
    }),

  /** Loses what a publisher that is killed has not stored yet. */
  'confirms before it has stored': (broker: Broker) => {
    let last: Promise<unknown> = sleep(0)
    return altered(broker, {
      publish: async (batch) => {
        last = Promise.all([last, sleep(300)]).then(() => broker.publish(batch))
      },
    })
  },

  'stores a batch in the wrong order': (broker: Broker) => publishing(broker, (batch) => batch.toReversed()),
} as const

export type Defect = keyof typeof defects

export function createBroker(options: TargetOptions): Broker {
  return defects[options.settings['defect'] as Defect](sqlite.createBroker(options))
}

export function brokenTarget(defect: Defect): ConformanceTarget {
  return { name: `a broker that ${defect}`, module: import.meta.url, settings: { defect } }
}
