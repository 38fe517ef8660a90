/** One process of a round: measures the subjects that it is told, and sends each number to its parent. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MEASURES, settle } from './measures.ts'
import { type PlanName, plans } from './plan.ts'
import type { Sample } from './sample.ts'
import type { Subject } from './subject.ts'
import { type SuiteName, suites } from './suites.ts'

export interface Task {
  readonly suite: SuiteName
  readonly subjects: readonly string[]
  readonly plan: PlanName
}

const task = JSON.parse(process.argv[2] ?? '{}') as Task
const suite = suites[task.suite]
const { backlog, ...rest } = plans[task.plan]
const plan = { ...rest, backlog: Math.min(backlog, suite.backlog ?? Infinity) }

const reports: Promise<void>[] = []
const folder = await mkdtemp(join(tmpdir(), 'busbar-bench-'))
try {
  for (const [index, payloadBytes] of plan.payloads.entries()) await measure(payloadBytes, index === 0)
} finally {
  await rm(folder, { recursive: true, force: true })
}
await Promise.all(reports)
// Some peers leave timers and signal handlers behind.
process.exit()

async function measure(payloadBytes: number, first: boolean): Promise<void> {
  const subjects: [string, Subject][] = []
  for (const name of task.subjects) {
    const own = join(folder, `${name}-${payloadBytes}`)
    await mkdir(own, { recursive: true })
    const contender = suite.subjects[name]
    if (contender === undefined) throw new Error(`suite ${task.suite} has no subject ${name}`)
    const { open } = await contender.load()
    subjects.push([name, await open(payloadBytes, own)])
  }
  for (const [, subject] of subjects) if (first) await settle(subject, plan.settle)
  for (const run of MEASURES) {
    for (const [name, subject] of subjects) {
      const measured = (await run(subject, plan)) ?? []
      for (const each of measured) report({ suite: task.suite, payloadBytes, subject: name, ...each })
    }
  }
  for (const [, subject] of subjects) await subject.close()
}

function report(sample: Sample): void {
  reports.push(new Promise((resolve) => process.send?.(sample, () => resolve())))
}
