import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Plan, type PlanName, plans } from './plan.ts'
import type { Sample } from './sample.ts'
import { type Suite, type SuiteName, suites } from './suites.ts'
import type { Task } from './worker.ts'

/**
 * All rounds of a suite. In each round every subject is measured once, in an order that turns around from round to round,
 * so that what else the machine does meets all of them alike.
 *
 * @param told Is told what is being done, for people who wait.
 */
export async function runSuite(
  name: SuiteName,
  planName: PlanName,
  told: (progress: string) => void,
): Promise<readonly Sample[]> {
  const plan: Plan = plans[planName]
  const suite: Suite = suites[name]
  const began = performance.now()
  const samples: Sample[] = []
  for (let round = 0; round < plan.rounds; round++) {
    if (performance.now() - began > plan.suiteBudget) break
    const turned = round % 2 === 1
    for (const lineup of turned ? suite.processes.toReversed() : suite.processes) {
      const subjects = turned ? lineup.toReversed() : lineup
      told(`${name}: round ${round + 1} of ${plan.rounds}: ${subjects.join(', ')}`)
      samples.push(...(await runChild('./worker.ts', { suite: name, subjects, plan: planName } satisfies Task)))
    }
  }
  return samples
}

/** Runs a file in a process of its own; resolves to the samples that it sent. */
export function runChild(file: string, task: object): Promise<readonly Sample[]> {
  return new Promise((resolve, reject) => {
    const samples: Sample[] = []
    // Whatever a peer prints must not get between the numbers on standard output.
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(task)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.on('message', (sample) => samples.push(sample as Sample))
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0) resolve(samples)
      else reject(new Error(`${file} ${JSON.stringify(task)} ended with ${signal ?? `exit code ${code}`}`))
    })
  })
}
