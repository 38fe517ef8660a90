/** A process that is a member of every group, and tells of each message that a handler has handled before it is acked. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startedBus } from './bus.ts'
import { groups, Happened } from './message.ts'
import { Random } from './random.ts'
import { type Handling, job, type Job, machineTime, say } from './words.ts'

const { place, seed } = await job<Job>()
const random = new Random(seed, 'consumer')

/** Retries hold the line, so they keep the order. A redelivery or dead letter would not, so that no failure leads to one. */
const retry = { retries: 1_000, minDelay: 1, maxDelay: 20, crashes: 1_000_000 }

const bus = await startedBus(place, async (starting) => {
  for (const group of groups) {
    await starting.subscribe(
      Happened,
      async ({ data: { key, n } }, { attempt }) => {
        const began = machineTime()
        await work()
        if (attempt === 1 && n % 97 === 13) throw new Error('fails the first time')
        await told({ group, key, n, began, ended: machineTime() })
      },
      { group, retry, concurrency: 20 },
    )
  }
})
await say({ ready: true })

process.on('message', () => {
  void bus.stop({ deadline: 5_000 }).finally(() => process.exit(0))
})

/** Most handlers are quick; some are not, so that a process is always killed in the middle of one. */
async function work(): Promise<void> {
  const luck = random.next()
  if (luck < 0.8) return
  await sleep(luck < 0.97 ? random.between(1, 5) : random.between(5, 50))
}

let waiting: Handling[] = []
let telling: Promise<void> | undefined

/** Resolves when the run has it, whatever becomes of this process. Those of one turn of the event loop go together. */
function told(handling: Handling): Promise<void> {
  waiting.push(handling)
  telling ??= new Promise((resolve) => {
    setImmediate(() => {
      const handled = waiting
      waiting = []
      telling = undefined
      resolve(say({ handled }))
    })
  })
  return telling
}
