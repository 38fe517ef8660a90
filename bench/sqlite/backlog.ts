/** A process that works on a large backlog and measures how much memory it takes. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEventBus, silentLogger } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type PlanName, plans } from '../plan.ts'
import { runChild } from '../child.ts'
import { Tally } from '../tally.ts'
import { fill } from './fill.ts'

export interface BacklogTask {
  readonly plan: PlanName
  /** Given to the process that measures; the one that prepares the file starts it. */
  readonly file?: string
}

const PAYLOAD = 64
const task = JSON.parse(process.argv[2] ?? '{}') as BacklogTask
const { memoryBacklog, memoryHandled } = plans[task.plan]

if (task.file === undefined) await prepare()
else await consume(task.file)
process.disconnect?.()

/** The file is filled in another process, so that what that takes is not counted. */
async function prepare(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'busbar-bench-'))
  try {
    const file = join(folder, 'backlog.db')
    await fill(file, memoryBacklog, PAYLOAD)
    const samples = await runChild(import.meta.url, { ...task, file } satisfies BacklogTask)
    for (const sample of samples) process.send?.(sample)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The largest resident set of the whole process, Node included, from its start to the last message that it handled. */
async function consume(file: string): Promise<void> {
  const bus = await createEventBus(`sqlite:${file}`, { logger: silentLogger })
  const tally = new Tally()
  const enough = tally.reach(Math.min(memoryHandled, memoryBacklog))
  await bus.subscribe(OrderPlaced, async () => tally.add(), { group: 'backlog', from: 'earliest' })
  await enough
  const value = process.resourceUsage().maxRSS / 1_024
  await bus.stop()
  process.send?.({
    suite: 'sqlite',
    measure: `RSS at a backlog of ${memoryBacklog.toExponential().replace('+', '')}`,
    payloadBytes: PAYLOAD,
    subject: 'busbar',
    unit: 'MB',
    value,
  })
}
