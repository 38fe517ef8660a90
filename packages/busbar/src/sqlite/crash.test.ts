import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { WorkerProcess } from './fixtures/processes.ts'
import { ack, collect, eventually, numbered, outgoing, scratchFile, started, textOf } from './fixtures/scratch.ts'
import type { WorkerReport } from './fixtures/worker.ts'

const LEASE = 1_000

test('after kill -9 of a consumer only what it had open comes again, with its attempt counted', async () => {
  const file = scratchFile()
  const broker = await started({ file, lease: LEASE })
  await broker.publish(Array.from({ length: 200 }, (_, n) => outgoing({ key: `k${n}`, body: String(n) })))
  const worker = new WorkerProcess({ file, do: 'consume', lease: LEASE, prefetch: 10, hang: '150' })
  await eventually(() => worker.of('got').some(({ body }) => body === '150'), 'the message that hangs')
  await worker.kill()
  const before = new Set(worker.of('done').map((report) => report.body))
  const { deliveries } = await collect(broker)
  await eventually(() => new Set([...before, ...deliveries.map((one) => one.message.body)]).size === 200, 'all 200')
  const again = deliveries.filter((one) => before.has(textOf(one)))
  expect(again.length).toBeLessThanOrEqual(10)
  for (const delivery of again) expect(delivery.attempts).toBe(1)
  const hung = deliveries.filter((one) => one.message.body === '150')
  expect(hung.map((one) => one.attempts)).toEqual([1])
  expect(deliveries.filter((one) => one.attempts > 0).length).toBeLessThanOrEqual(10)
})

test('a message that kills its process is found: its crashes count, those of its neighbours do not', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  // All of one partition's worth of keys and more, so that the killer has neighbours in its partition and in others.
  await broker.publish(
    Array.from({ length: 40 }, (_, n) => outgoing({ key: `k${n}`, body: n === 20 ? 'killer' : `m${n}` })),
  )
  const got: WorkerReport[] = []
  for (let life = 0; life < 6; life++) {
    const task = { file, do: 'consume', lease: 400, prefetch: 40, slow: 5, dieAt: 'killer', crashes: 2 } as const
    const worker = new WorkerProcess(task, (report) => {
      if (report.what === 'got') got.push(report)
    })
    await Promise.race([
      worker.gone(),
      eventually(async () => (await broker.deadLetters.count()) > 0, 'the dead letter'),
    ])
    if ((await broker.deadLetters.count()) > 0) break
  }
  const [letter, ...others] = await broker.deadLetters.list()
  expect(others).toEqual([])
  expect(letter?.message.body).toBe('killer')
  // The letter can be seen before what its process told.
  const found = (): boolean => got.some(({ body, crashes }) => body === 'killer' && crashes === 2)
  await eventually(found, 'the run after two crashes')
  await eventually(async () => (await broker.metrics()).groups[0]?.lag === 0, 'all neighbours handled')
  const runs = got.filter((report) => report.body === 'killer')
  for (const [index, run] of runs.entries()) {
    const before = runs[index - 1]
    expect(run.attempts ?? 0).toBeGreaterThanOrEqual((before?.attempts ?? -1) + 1)
  }
  expect(runs.at(-1)?.crashes).toBe(2)
  // A neighbour may have been alone in its partition when the process died the first time; it is never blamed again.
  for (const report of got) if (report.body !== 'killer') expect(report.crashes).toBeLessThanOrEqual(1)
})

test('messages that a process has died with run one at a time in the next one, though they are of two brokers', async () => {
  const files = [scratchFile(), scratchFile()]
  const brokers = await Promise.all(files.map((file) => started({ file, lease: LEASE })))
  for (const broker of brokers) await broker.publish([outgoing({ key: 'k' })])
  const workers = files.map((file) => new WorkerProcess({ file, do: 'consume', lease: LEASE, hang: 'all' }))
  await Promise.all(workers.map((worker) => worker.reported('got')))
  await Promise.all(workers.map((worker) => worker.kill()))
  let [running, most] = [0, 0]
  const members = await Promise.all(
    brokers.map((broker) =>
      collect(broker, {}, async () => {
        most = Math.max(most, ++running)
        await sleep(300)
        running--
        return ack
      }),
    ),
  )
  await eventually(() => members.every(({ deliveries }) => deliveries.length === 1), 'both messages')
  expect(members.flatMap(({ deliveries }) => deliveries.map(({ crashes }) => crashes))).toEqual([1, 1])
  expect(most).toBe(1)
})

test('a redelivery that was out when its process died comes again with the attempt counted', async () => {
  const file = scratchFile()
  const broker = await started({ file, lease: LEASE })
  await broker.publish([outgoing({ body: 'twice' })])
  const first = await collect(broker, {}, () => ({ redeliver: { after: 0, attempts: 1, firstFailedAt: 5 } }))
  await eventually(() => first.deliveries.length >= 1, 'the first delivery')
  await first.stop()
  const worker = new WorkerProcess({ file, do: 'consume', lease: LEASE, hang: 'all' })
  await worker.reported('got')
  const attempts = worker.of('got')[0]?.attempts ?? 0
  expect(attempts).toBeGreaterThanOrEqual(1)
  await worker.kill()
  const last = await collect(broker)
  await eventually(() => last.deliveries.length === 1, 'the delivery after the crash')
  expect(last.deliveries[0]?.attempts).toBe(attempts + 1)
  expect(last.deliveries[0]?.crashes).toBe(1)
  expect(last.deliveries[0]?.firstFailedAt).toBe(5)
  await last.stop()
  expect((await broker.metrics()).groups[0]?.lag).toBe(0)
})

test('runs told with began survive kill -9, of fresh messages and of redeliveries', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  await broker.publish([outgoing({ key: 'a', body: 'fresh' })])
  const attempts: number[] = []
  const member = await collect(broker, {}, async (delivery) => {
    attempts.push(delivery.attempts)
    await delivery.began(delivery.attempts + 1)
    await delivery.began(delivery.attempts + 2)
    if (attempts.length === 1) return { redeliver: { after: 0, attempts: 3, firstFailedAt: 1 } }
    return { release: true }
  })
  await eventually(() => attempts.length >= 3, 'three deliveries')
  expect(attempts.slice(0, 3)).toEqual([0, 3, 5])
  await member.stop()
})

test('a clean stop counts nothing: what was not begun comes as if for the first time', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  await broker.publish(numbered(20, 20))
  const first = await collect(
    broker,
    { prefetch: 20 },
    () => new Promise((resolve) => setTimeout(resolve, 50, { release: true })),
  )
  await eventually(() => first.deliveries.length >= 20, '20 deliveries')
  await first.stop()
  const second = await collect(broker, { prefetch: 5 })
  await eventually(() => second.deliveries.length === 20, '20 deliveries again')
  expect(new Set(second.deliveries.map((one) => `${one.attempts} ${one.crashes}`))).toEqual(new Set(['0 0']))
})

test('what was out when its owner died is handed out one at a time, in order, before anything that came later', async () => {
  const file = scratchFile()
  const broker = await started({ file, lease: 60_000 })
  await broker.publish(numbered(20, 10))
  const dying = await collect(broker, { prefetch: 20 }, () => new Promise(() => {}))
  await eventually(() => dying.deliveries.length === 20, '20 deliveries')
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec(`UPDATE busbar_cursors SET owner = 'dead', token = token + 1, expires = 1`)
  database.close()
  await dying.stop(0)
  await broker.publish(numbered(20, 10).map((one) => ({ ...one, message: { ...one.message, body: 'later' } })))
  let suspectsOut = 0
  let most = 0
  const next = await collect(broker, { prefetch: 20 }, async ({ attempts }) => {
    if (attempts === 0) return ack
    most = Math.max(most, ++suspectsOut)
    await new Promise((resolve) => setTimeout(resolve, 3))
    suspectsOut--
    return ack
  })
  await eventually(() => next.deliveries.length === 40, '40 deliveries')
  expect(most).toBe(1)
  for (const key of Array.from({ length: 10 }, (_, n) => `k${n}`)) {
    const ofKey = next.deliveries.filter((one) => one.message.key === key)
    expect(ofKey.map((one) => one.message.body)).toEqual(['0', '1', 'later', 'later'])
    expect(ofKey.map((one) => one.attempts)).toEqual([1, 1, 0, 0])
  }
})

test('a suspect whose run takes long does not hold up the others for ever', async () => {
  const file = scratchFile()
  const broker = await started({ file, lease: 60_000 })
  await broker.publish(Array.from({ length: 4 }, (_, n) => outgoing({ key: `k${n}` })))
  const dying = await collect(broker, {}, () => new Promise(() => {}))
  await eventually(() => dying.deliveries.length === 4, '4 deliveries')
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec(`UPDATE busbar_cursors SET owner = 'dead', token = token + 1, expires = 1`)
  database.close()
  await dying.stop(0)
  const next = await collect(broker, {}, () => new Promise(() => {}))
  await eventually(() => next.deliveries.length === 4, 'all four, though none of them ends')
  expect(new Set(next.deliveries.map((one) => one.message.id)).size).toBe(4)
})
