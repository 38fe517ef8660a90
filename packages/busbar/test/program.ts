import { spawn } from 'node:child_process'

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. What it exits with is the caller's to judge. */
export function run(command: string, args: readonly string[], cwd: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** Runs a JavaScript or TypeScript program on the Node of the tests. */
export function node(args: readonly string[], cwd: string): Promise<Outcome> {
  return run(process.execPath, args, cwd)
}

/**
 * The npm that started the tests, on the Node that it came with: a system's npm does not always run on another Node.
 * Rejects with its output if it fails; resolves with what it printed.
 */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  const { npm_node_execpath: itsNode, npm_execpath: itself } = process.env
  const outcome =
    itsNode === undefined || itself === undefined
      ? await run('npm', args, cwd)
      : await run(itsNode, [itself, ...args], cwd)
  if (outcome.code !== 0) throw new Error(`npm ${args.join(' ')} failed: ${outcome.stderr}${outcome.stdout}`)
  return outcome.stdout
}
