import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Sample } from './sample.ts'

/**
 * Runs a file in a process of its own; resolves to the samples that it sent. Rejects if it failed.
 *
 * @param url Of the file.
 * @param task What it is told, as JSON in its first argument.
 */
export function runChild(url: string, task: object): Promise<readonly Sample[]> {
  return new Promise((resolve, reject) => {
    const samples: Sample[] = []
    // Whatever a peer prints must not get between the numbers on standard output.
    const child = fork(fileURLToPath(url), [JSON.stringify(task)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.on('message', (sample) => samples.push(sample as Sample))
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0) resolve(samples)
      else reject(new Error(`${url} ${JSON.stringify(task)} ended with ${signal ?? `exit code ${code}`}`))
    })
  })
}
