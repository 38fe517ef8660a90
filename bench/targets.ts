import { median, ratio, type Series } from './sample.ts'

/** Suites over a server. */
const NETWORK = ['postgres', 'redis-streams', 'redis-pubsub', 'kafka', 'rabbitmq', 'nats', 'bullmq']

/** What Busbar wants to reach, compared with what was measured. For information: a missed one fails nothing. */
export interface Target {
  readonly text: string
  readonly met: boolean
}

/** The targets of the suites that were measured. */
export function targets(measured: readonly Series[]): readonly Target[] {
  const find = (suite: string, measure: string, subject: string, payloadBytes = 64): Series | undefined =>
    measured.find(
      (each) =>
        each.suite === suite &&
        each.measure === measure &&
        each.subject === subject &&
        each.payloadBytes === payloadBytes,
    )
  const atLeast = (suite: string, measure: string, factor: number, other: string, bytes = 64): Target | undefined => {
    const ours = find(suite, measure, 'busbar', bytes)
    const theirs = find(suite, measure, other, bytes)
    if (ours === undefined || theirs === undefined) return undefined
    const reached = ratio(ours, theirs).median
    const text = `${suite}, ${measure}: at least ${factor} × ${other} (measured: ${reached.toFixed(2)} ×)`
    return { text, met: reached >= factor }
  }
  const bounded = (suite: string, measure: string, limit: number, is: 'under' | 'at least'): Target | undefined => {
    const ours = find(suite, measure, 'busbar')
    if (ours === undefined) return undefined
    const value = median(ours.values)
    const text = `${suite}, ${measure}: ${is} ${limit} ${ours.unit} (measured: ${value.toFixed(value < 100 ? 1 : 0)})`
    return { text, met: is === 'under' ? value < limit : value >= limit }
  }
  /** The dearest size against the cheapest; half as much again is within what this measures. */
  const flat = (suite: string, what: string): Target | undefined => {
    const costs = measured.filter(
      (each) => each.suite === suite && each.measure.startsWith(`${what}, cost per message`),
    )
    if (costs.length < 2) return undefined
    const values = costs.map((each) => median(each.values))
    const spread = Math.max(...values) / Math.min(...values)
    const sizes = costs.map((each) => /at (\S+) rows/.exec(each.measure)?.[1]).join(', ')
    const text = `${suite}, ${what}: cost per message flat over ${sizes} rows (measured: dearest ${spread.toFixed(2)} × cheapest)`
    return { text, met: spread < 1.5 }
  }
  /**
   * Busbar against itself: what an array gains over one call after the other. The nearer the server, the less there is to gain: on a
   * machine where ten times is more than the raw client gains, 0.9 of that is enough: who is as fast as raw one by one, and has the batches
   * that are asked for, gains that much.
   */
  const batching = (suite: string): Target | undefined => {
    const [gain, others] = ['busbar', 'raw'].map((subject) => {
      const [batch, one] = ['publish batches of 100', 'publish one by one'].map((measure) =>
        find(suite, measure, subject),
      )
      return batch && one && median(batch.values) / median(one.values)
    })
    if (gain === undefined) return undefined
    const wanted = Math.min(10, 0.9 * (others ?? Infinity))
    const also = others === undefined ? '' : ', or 0.9 of what raw gains'
    const found = `${gain.toFixed(1)} ×${others === undefined ? '' : `; raw: ${others.toFixed(1)} ×`}`
    const text = `${suite}, publish batches of 100: at least 10 × one by one${also} (measured: ${found})`
    return { text, met: gain >= wanted }
  }
  const added = (suite: string): Target | undefined => {
    const [ours, raw] = ['busbar', 'raw'].map((subject) => find(suite, 'latency p50', subject))
    if (ours === undefined || raw === undefined) return undefined
    const more = median(ours.values) - median(raw.values)
    const text = `${suite}, latency p50: under 300 µs more than raw (measured: ${more.toFixed(0)} µs more)`
    return { text, met: more < 300 }
  }
  return [
    // Both, because which of the two is ahead depends on how many are on their way.
    atLeast('memory', 'end to end', 1, '@nestjs/cqrs'),
    atLeast('memory', 'end to end, 100 in flight', 1, '@nestjs/cqrs'),
    atLeast('memory', 'end to end', 50, '@node-ts/bus-core'),
    atLeast('memory', 'end to end, 100 in flight', 50, '@node-ts/bus-core'),
    bounded('memory', 'latency p50', 10, 'under'),
    atLeast('sqlite', 'publish batches of 100', 0.8, 'raw'),
    atLeast('sqlite', 'publish batches of 1000', 0.8, 'raw'),
    atLeast('sqlite', 'publish one by one', 0.8, 'raw'),
    bounded('sqlite', 'consume', 50_000, 'at least'),
    flat('sqlite', 'publish'),
    flat('sqlite', 'consume'),
    bounded('sqlite', 'RSS at a backlog of 1e6', 150, 'under'),
    atLeast('postgres', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('postgres', 'publish batches of 100', 0.9, 'raw'),
    atLeast('postgres', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('postgres', 'consume', 0.8, 'raw'),
    bounded('postgres', 'consume', 20_000, 'at least'),
    atLeast('redis-streams', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('redis-streams', 'publish batches of 100', 0.9, 'raw'),
    atLeast('redis-streams', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('redis-streams', 'consume', 0.8, 'raw'),
    atLeast('redis-streams', 'consume', 4, '@moleculer/channels'),
    atLeast('redis-pubsub', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('redis-pubsub', 'publish batches of 100', 0.9, 'raw'),
    atLeast('redis-pubsub', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('redis-pubsub', 'end to end', 0.8, 'raw'),
    atLeast('bullmq', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('bullmq', 'publish batches of 100', 0.9, 'raw'),
    atLeast('bullmq', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('bullmq', 'consume', 0.8, 'raw'),
    atLeast('rabbitmq', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('rabbitmq', 'publish batches of 100', 0.9, 'raw'),
    atLeast('rabbitmq', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('rabbitmq', 'consume', 0.8, 'raw'),
    atLeast('nats', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('nats', 'publish batches of 100', 0.9, 'raw'),
    atLeast('nats', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('nats', 'consume', 0.8, 'raw'),
    atLeast('kafka', 'publish 100 in flight', 0.9, 'raw'),
    atLeast('kafka', 'publish batches of 100', 0.9, 'raw'),
    atLeast('kafka', 'publish batches of 1000', 0.9, 'raw'),
    atLeast('kafka', 'consume', 0.8, 'raw'),
    atLeast('store-sqlite', 'append 1 event, serial', 0.8, 'raw', 67),
    flat('store-sqlite', 'append'),
    flat('store-sqlite', 'read of 100'),
    bounded('store-sqlite', 'projection catch-up', 50_000, 'at least'),
    bounded('store-postgres', 'projection catch-up, many at a time', 50_000, 'at least'),
    flat('store-postgres', 'append'),
    flat('store-postgres', 'read of 100'),
    atLeast('store-postgres', 'append 1 event, 50 concurrent', 4, 'emmett', 67),
    ...NETWORK.flatMap((suite) => [batching(suite), added(suite)]),
  ].filter((target) => target !== undefined)
}
