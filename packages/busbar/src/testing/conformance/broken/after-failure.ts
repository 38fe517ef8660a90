import type { Broker, DeadLetter, DeadLetterStore, Verdict } from '../../../broker/index.ts'
import { altered, delivering, showing, subscribing } from './altered.ts'
import type { Defect } from './defect.ts'

/** What follows a failure, done wrong. */
export const afterDefects: readonly Defect[] = [
  {
    does: 'acks what was to be redelivered',
    base: 'memory',
    caughtBy: 'what is given back comes again with its attempts, redeliveries and first failure counted',
    saying: /4 deliveries of group .* 1 came/,
    wrap: (broker) => settling(broker, (verdict) => ('redeliver' in verdict ? { ack: true } : verdict)),
  },
  {
    does: 'redelivers before the time',
    base: 'memory',
    caughtBy: 'a redelivery is never early',
    saying: /a redelivery came \d+ ms early/,
    wrap: (broker) =>
      settling(broker, (verdict) =>
        'redeliver' in verdict ? { redeliver: { ...verdict.redeliver, after: 0 } } : verdict,
      ),
  },
  {
    does: 'forgets the attempts',
    base: 'memory',
    caughtBy: 'what is given back comes again with its attempts, redeliveries and first failure counted',
    saying: /Expected values to be strictly deep-equal/,
    wrap: (broker) => showing(broker, () => ({ attempts: 0 })),
  },
  {
    does: 'counts attempts in the memory of its process',
    base: 'sqlite',
    caughtBy: 'a consumer killed between its effect and the ack: the message comes again with the attempt counted',
    saying: /the attempt was not counted: 0/,
    wrap(broker) {
      const runs = new Map<string, number>()
      return showing(broker, ({ message: { id } }) => {
        const attempts = runs.get(id) ?? 0
        runs.set(id, attempts + 1)
        return { attempts }
      })
    },
  },
  {
    does: 'counts a release as an attempt',
    base: 'memory',
    caughtBy: 'a released message comes again in its place and nothing is counted',
    saying: /false == true|deep-equal/,
    wrap: (broker) =>
      settling(broker, (verdict) =>
        'release' in verdict ? { redeliver: { after: 0, attempts: 1, firstFailedAt: Date.now() } } : verdict,
      ),
  },
  {
    does: 'acks a message whose dead letter could not be stored',
    base: 'sqlite',
    caughtBy: 'a message whose dead letter cannot be stored is not acked: it stays unsettled until it is stored',
    saying: /counts as settled though its dead letter is not stored/,
    wrap: (broker) =>
      altered(broker, {
        subscribe: (spec, deliver) =>
          broker.subscribe(spec, async (delivery) => {
            const verdict = await deliver(delivery)
            if (!('deadLetter' in verdict)) return verdict
            const { message, topic, position, redeliveries } = delivery
            const letter = { group: spec.group, topic, position, message, redeliveries, failure: verdict.deadLetter }
            await broker.deadLetters.put(letter).catch(() => undefined)
            return { ack: true }
          }),
      }),
  },
  {
    does: 'forgets how often a dead letter was redelivered',
    base: 'memory',
    caughtBy: 'a dead letter holds the whole message, its failure, its origin, group and redeliveries',
    saying: /redeliveries/,
    wrap: (broker) =>
      storing(broker, { list: async (...which) => (await broker.deadLetters.list(...which)).map(fresh) }),
  },
  {
    does: 'redrives to all groups',
    base: 'memory',
    caughtBy: 'redrive brings a message back once, to the group that failed alone, with the same id and attempts anew',
    saying: /deep-equal/,
    wrap: (broker) => redriving(broker, ({ topic, message }) => [{ topic, message }]),
  },
  {
    does: 'redrives twice',
    base: 'memory',
    caughtBy: 'redrive brings a message back once, to the group that failed alone, with the same id and attempts anew',
    saying: /deep-equal/,
    wrap: (broker) =>
      redriving(broker, ({ topic, group, message }) => [
        { topic, group, message },
        { topic, group, message },
      ]),
  },
  {
    does: 'redrives under a new id',
    base: 'memory',
    caughtBy: 'redrive brings a message back once, to the group that failed alone, with the same id and attempts anew',
    saying: /id: 'another'/,
    wrap: (broker) =>
      redriving(broker, ({ topic, group, message }) => [{ topic, group, message: { ...message, id: 'another' } }]),
  },
  {
    does: 'says that it has discarded and has not',
    base: 'memory',
    caughtBy: 'what is discarded is gone and never comes again',
    saying: /undefined/,
    wrap: (broker) => storing(broker, { discard: () => Promise.resolve(1) }),
  },
  {
    does: 'does not park',
    base: 'memory',
    caughtBy: 'parking: those behind a dead letter of their key wait, and other keys go on',
    saying: /of a failed key were handed out/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, onFailure: 'continue' })),
  },
]

function settling(broker: Broker, change: (verdict: Verdict) => Verdict): Broker {
  return delivering(broker, (deliver) => async (delivery) => change(await deliver(delivery)))
}

function storing(broker: Broker, changes: Partial<DeadLetterStore>): Broker {
  const { deadLetters } = broker
  return altered(broker, {
    deadLetters: {
      put: (letter) => deadLetters.put(letter),
      list: (...which) => deadLetters.list(...which),
      get: (id) => deadLetters.get(id),
      count: (filter) => deadLetters.count(filter),
      summarize: (filter) => deadLetters.summarize(filter),
      redrive: (...which) => deadLetters.redrive(...which),
      discard: (which) => deadLetters.discard(which),
      ...changes,
    },
  })
}

/** A redrive that publishes what it likes and discards the letter. */
function redriving(broker: Broker, publish: (letter: DeadLetter) => Parameters<Broker['publish']>[0]): Broker {
  const { deadLetters } = broker
  return storing(broker, {
    async redrive(which) {
      const ids = Array.isArray(which) ? (which as readonly string[]) : []
      for (const id of ids) {
        const letter = await deadLetters.get(id)
        if (letter !== undefined) await broker.publish(publish(letter))
      }
      return deadLetters.discard(which)
    },
  })
}

function fresh(letter: DeadLetter): DeadLetter {
  return { ...letter, redeliveries: 0 }
}
