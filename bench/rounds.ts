import { runChild } from './child.ts'
import { type Plan, type PlanName, plans } from './plan.ts'
import type { Sample } from './sample.ts'
import { type SuiteName, suites } from './suites.ts'
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
  const suite = suites[name]
  const began = performance.now()
  const samples: Sample[] = []
  for (let round = 0; round < plan.rounds; round++) {
    const elapsed = performance.now() - began
    if (round > 0 && elapsed + elapsed / round > plan.suiteBudget) break
    const turned = round % 2 === 1
    for (const lineup of turned ? suite.processes.toReversed() : suite.processes) {
      const subjects = turned ? lineup.toReversed() : lineup
      told(`${name}: round ${round + 1} of ${plan.rounds}: ${subjects.join(', ')}`)
      samples.push(...(await runChild(here('./worker.ts'), { suite: name, subjects, plan: planName } satisfies Task)))
    }
  }
  for (const file of suite.extras) {
    told(`${name}: ${file}`)
    samples.push(...(await runChild(here(file), { plan: planName })))
  }
  return samples
}

function here(file: string): string {
  return new URL(file, import.meta.url).href
}
