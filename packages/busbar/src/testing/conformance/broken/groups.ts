import { altered, sending, subscribing } from './altered.ts'
import type { Defect } from './defect.ts'

/** Groups that are not what they promise. */
export const groupDefects: readonly Defect[] = [
  {
    does: "gives a group's messages to all of its members",
    base: 'memory',
    caughtBy: 'members of a group compete: each of 2,000 messages goes to one of 20 members',
    saying: /messages came more than once/,
    wrap(broker) {
      let count = 0
      return subscribing(broker, (spec) => ({ ...spec, group: `${spec.group}-${++count}` }))
    },
  },
  {
    does: 'lets all groups share one place in line',
    base: 'memory',
    caughtBy: 'every group gets every message',
    saying: /100 deliveries of group .* \d+ came/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, group: 'all' })),
  },
  {
    does: 'gives a broadcast to one member',
    base: 'memory',
    caughtBy: 'broadcast: every member gets a copy of everything',
    saying: /50 deliveries of group .* \d+ came/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, broadcast: false })),
  },
  {
    does: 'sends to all groups what was meant for one',
    base: 'memory',
    caughtBy: 'a message published to one group reaches that group alone',
    saying: /1 !== 0/,
    wrap: (broker) => sending(broker, ({ topic, message }) => ({ topic, message })),
  },
  {
    does: 'begins every new group at the earliest',
    base: 'sqlite',
    caughtBy: 'a new group that asks for the latest gets only what is published after it',
    saying: /30 !== 0/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, from: 'earliest' })),
  },
  {
    does: 'begins every new group at the latest',
    base: 'sqlite',
    caughtBy: 'a new group that asks for the earliest gets what was published before it, in order',
    saying: /100 deliveries of group .* 0 came/,
    wrap: (broker) => subscribing(broker, (spec) => ({ ...spec, from: 'latest' })),
  },
  {
    does: 'pretends to forget a group that has members',
    base: 'memory',
    caughtBy: 'a group cannot be forgotten while it has members, and goes on then',
    saying: /a group with a member was deleted/,
    wrap: (broker) => altered(broker, { deleteGroup: () => Promise.resolve() }),
  },
]
