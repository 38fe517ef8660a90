import { MsgHdrsImpl } from '@nats-io/transport-node'
import { expect, test, vi } from 'vitest'
import type { Verdict } from '../broker/index.ts'
import type { HandedOut } from './delivery.ts'
import type { PartitionHost, PartitionView } from './host.ts'
import { Intake } from './intake.ts'
import { type MakeHeaders, toWire } from './wire.ts'
import { Window } from './window.ts'
import { message, spec } from './fixtures/messages.ts'

const headers: MakeHeaders = (values = {}) => MsgHdrsImpl.fromRecord(values)

/** Two partitions of one member, each with a message that may have killed the process that had it before. */
function twoSuspects() {
  const reads: (() => void)[] = []
  const ends: ((verdict: Verdict) => void)[] = []
  const window = new Window(spec(), () => new Promise((resolve) => ends.push(resolve)))
  window.begin()
  const getMessage = (_: string, { seq }: { seq: number }): Promise<unknown> => {
    const wire = toWire(message(`${seq}`), headers)
    return new Promise((resolve) => reads.push(() => resolve({ header: wire.headers, data: wire.data })))
  }
  const host = { context: { jsm: { streams: { getMessage } } }, parks: false, window } as unknown as PartitionHost
  const intakes = [1, 2].map((partition) => {
    const owner = { topic: { name: 'orders', stream: 'orders' }, partition, open: new Set(), wake: () => {} }
    const intake = new Intake(host, owner as unknown as PartitionView)
    intake.backlog = [{ seq: partition, attempts: 1, crashes: 0, suspect: true, started: false }]
    return intake
  }) as [Intake, Intake]
  return { window, intakes, reads, ends }
}

test('of two partitions whose first message may have killed its process, one is taken at a time, also while it is being read', async () => {
  const { window, intakes, reads, ends } = twoSuspects()
  const [first, second] = intakes
  const [mine, other]: [HandedOut[], HandedOut[]] = [[], []]
  const taking = first.take(mine)
  await vi.waitFor(() => expect(reads).toHaveLength(1))
  await second.take(other)
  expect(other).toEqual([])
  reads[0]?.()
  await taking
  expect(mine).toHaveLength(1)
  // Read, and its start not stored yet.
  await second.take(other)
  expect(other).toEqual([])
  const settled = Promise.withResolvers<void>()
  window.handOut(mine[0] as HandedOut, () => settled.resolve())
  await second.take(other)
  expect(other).toEqual([])
  ends[0]?.({ ack: true })
  await settled.promise
  const next = second.take(other)
  await vi.waitFor(() => expect(reads).toHaveLength(2))
  reads[1]?.()
  await next
  expect(other).toHaveLength(1)
})
