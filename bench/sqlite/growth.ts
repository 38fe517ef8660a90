/** A process that measures what a message costs on logs of growing size. */
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBusbar } from '../busbar.ts'
import { type Plan, type PlanName, plans } from '../plan.ts'
import { median } from '../sample.ts'
import type { Subject } from '../subject.ts'
import { fill } from './fill.ts'

export interface GrowthTask {
  readonly plan: PlanName
}

const PAYLOAD = 64
/** Bytes of a row with its index and the write-ahead log, generously. */
const ROW = 600
const TIMES = 5

const plan: Plan = plans[(JSON.parse(process.argv[2] ?? '{}') as GrowthTask).plan]
const folder = await mkdtemp(join(tmpdir(), 'busbar-bench-'))
try {
  // The first log only warms up: else the smallest one would be charged for the compiler.
  const first = join(folder, 'first.db')
  await fill(first, plan.logSizes[0] ?? 0, PAYLOAD)
  await costs(first)
  const file = join(folder, 'growth.db')
  for (const rows of plan.logSizes) {
    if (!(await hasRoomFor(rows))) {
      process.stderr.write(`${tmpdir()} has no room for a log of ${rows} rows: not measured\n`)
      break
    }
    await fill(file, rows, PAYLOAD)
    await measure(file, rows)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
process.disconnect?.()

async function hasRoomFor(rows: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize > rows * ROW
}

async function measure(file: string, rows: number): Promise<void> {
  const { publish, consume } = await costs(file)
  report(`publish, cost per message at ${size(rows)} rows`, publish)
  report(`consume, cost per message at ${size(rows)} rows`, consume)
}

interface Costs {
  /** Microseconds a message. */
  readonly publish: number
  readonly consume: number
}

/** Medians of several times; the first only fills the caches. */
async function costs(file: string): Promise<Costs> {
  const subject = await openBusbar(`sqlite:${file}`, PAYLOAD)
  await next(subject, plan.costSample / TIMES)
  const times: Costs[] = []
  while (times.length < TIMES) times.push(await next(subject, plan.costSample / TIMES))
  await subject.close()
  return { publish: median(times.map((one) => one.publish)), consume: median(times.map((one) => one.consume)) }
}

/** Publishes the next messages, then lets a group that was away handle them. */
async function next({ line, window, tally }: Subject, count: number): Promise<Costs> {
  await line?.away()
  const begin = performance.now()
  for (let sent = 0; sent < count; sent += 100) await window(sent, Math.min(100, count - sent))
  const middle = performance.now()
  const handled = tally.reach(tally.count + count)
  await line?.back()
  await handled
  const end = performance.now()
  return { publish: ((middle - begin) / count) * 1_000, consume: ((end - middle) / count) * 1_000 }
}

/** `1e6` for a million. */
function size(rows: number): string {
  return rows.toExponential().replace('+', '')
}

function report(measure: string, value: number): void {
  process.send?.({ suite: 'sqlite', measure, payloadBytes: PAYLOAD, subject: 'busbar', unit: 'µs', value })
}
