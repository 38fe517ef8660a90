import { altered } from './altered.ts'
import type { Defect } from './defect.ts'

/** Not quite inside of the transaction. */
export const transactionDefects: readonly Defect[] = [
  {
    does: 'publishes beside the transaction',
    base: 'sqlite',
    caughtBy: 'nothing is there of a transaction that is rolled back',
    saying: /rolled back/,
    wrap: (broker) => altered(broker, { publishIn: (_tx, batch) => broker.publish(batch) }),
  },
  {
    does: 'forgets what it is given in a transaction',
    base: 'sqlite',
    caughtBy: 'what is published in a transaction comes once that is committed, as it was published, and not before',
    saying: /never came/,
    wrap: (broker) => altered(broker, { publishIn: async () => {} }),
  },
  {
    does: 'takes a transaction that is over',
    base: 'sqlite',
    caughtBy: 'a transaction that is over is refused with TransactionClosedError, and nothing is written',
    saying: /did not reject/,
    wrap: (broker) =>
      altered(broker, {
        async publishIn(tx, batch) {
          await broker.publishIn?.(tx, batch).catch(() => {})
        },
      }),
  },
]
