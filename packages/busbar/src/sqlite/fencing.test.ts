import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import type { Verdict } from '../broker/index.ts'
import { collect, dead, eventually, gate, numbered, outgoing, scratchFile, started } from './fixtures/scratch.ts'

/** Another owner has taken all partitions, as after a lease that ran out unnoticed. */
function steal(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  onTestFinished(() => database.close())
  const expires = Date.now() + 3_600_000
  database.exec(`UPDATE busbar_cursors SET owner = 'thief', token = token + 1, expires = ${expires}`)
  return database
}

const verdicts: [string, Verdict][] = [
  ['ack', { ack: true }],
  ['release', { release: true }],
  ['redeliver', { redeliver: { after: 0, attempts: 1, firstFailedAt: 1 } }],
]

test.for(verdicts)(
  'a late %s after the lease was lost writes nothing, and the signal is aborted',
  async ([, verdict]) => {
    const file = scratchFile()
    const broker = await started({ file, lease: 300 })
    await broker.publish([outgoing({ key: 'a' })])
    const late = gate<Verdict>()
    const member = await collect(broker, {}, () => late.opened)
    await eventually(() => member.deliveries.length === 1, 'the delivery')
    const [delivery] = member.deliveries
    expect(delivery?.signal.aborted).toBe(false)
    const database = steal(file)
    const cursors = (): unknown =>
      database.prepare('SELECT partition, position, open, owner, token FROM busbar_cursors').all()
    const before = cursors()
    await eventually(() => delivery?.signal.aborted === true, 'the signal to be aborted')
    late.open(verdict)
    await member.stop()
    expect(cursors()).toEqual(before)
    expect(database.prepare('SELECT * FROM busbar_set_aside').all()).toEqual([])
  },
)

test('a dead letter of a former owner is not stored', async () => {
  const file = scratchFile()
  const broker = await started({ file, lease: 60_000 })
  await broker.publish([outgoing({ key: 'a' })])
  const late = gate()
  const member = await collect(broker, {}, (delivery) => late.opened.then(() => dead(delivery)))
  await eventually(() => member.deliveries.length === 1, 'the delivery')
  steal(file)
  // The heartbeat is far away: only the write itself finds out.
  late.open()
  await eventually(() => member.deliveries[0]?.signal.aborted === true, 'the signal to be aborted')
  expect(await broker.deadLetters.count()).toBe(0)
  await member.stop()
})

test('a former owner reads nothing more of the partition', async () => {
  const file = scratchFile()
  const broker = await started({ file, lease: 60_000 })
  const member = await collect(broker)
  const database = steal(file)
  await broker.publish([outgoing({ key: 'a' }), outgoing({ key: 'b' })])
  const other = await collect(broker, { group: 'fence' })
  await eventually(() => other.deliveries.length === 2, 'the group that still has its leases')
  expect(member.deliveries).toEqual([])
  const rows = database.prepare(`SELECT SUM(position) AS positions FROM busbar_cursors WHERE grp = 'billing'`).get()
  expect(rows).toEqual({ positions: 0 })
})

test('a process that was busy for longer than its lease does not trust it until the next sign of life', async () => {
  const broker = await started({ file: scratchFile(), lease: 300 })
  const { deliveries, stop } = await collect(broker, {}, () => new Promise(() => {}))
  await broker.publish(numbered(2, 2))
  await eventually(() => deliveries.length === 2, '2 deliveries')
  await eventually(() => deliveries.every((delivery) => !delivery.lapsed), 'a lease that is kept')
  // Nothing else runs meanwhile, as under a long computation.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
  expect(deliveries.map((delivery) => delivery.lapsed)).toEqual([true, true])
  // Nobody took it.
  await eventually(() => deliveries.every((delivery) => !delivery.lapsed), 'a lease that is kept again')
  await stop(0)
})
