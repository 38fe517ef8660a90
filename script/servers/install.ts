/** Programs: where they are, and how this machine gets what is missing. */
import { execFile, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { type Say, ServerError } from './server.ts'

const run = promisify(execFile)

/** Path of a program: in the given folders, then in PATH, then where Debian keeps what only root is meant to run. */
export async function find(program: string, folders: readonly string[] = []): Promise<string | undefined> {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const folder of [...folders, ...path, '/usr/sbin', '/sbin']) {
    const file = join(folder, program)
    if (await isProgram(file)) return file
  }
  return undefined
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}

/** Whether the command ends well within `timeout` milliseconds. */
export async function succeeds(file: string, args: readonly string[], timeout = 10_000): Promise<boolean> {
  try {
    await run(file, [...args], { timeout, killSignal: 'SIGKILL' })
    return true
  } catch {
    return false
  }
}

/** Runs a command that may take minutes. @throws ServerError with the last of what it printed. */
export async function work(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-100_000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const problem = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? code}`))
  })
  if (problem === undefined) return printed
  throw new ServerError(`${file} ${args[0] ?? ''} ${problem}: ${lastLines(printed)}`)
}

export function lastLines(text: string, count = 6): string {
  return text.trim().split('\n').slice(-count).join('\n')
}

/**
 * Installs Debian packages, without what they only recommend and without starting any service: their servers are
 * started by hand, elsewhere. The first of `alternatives` that can be had is taken.
 * @throws ServerError where this is not Debian's kind of system, or neither root nor sudo without a password
 */
export async function installPackages(alternatives: readonly string[], say: Say): Promise<void> {
  const wanted = alternatives.join(' or ')
  if ((await find('apt-get')) === undefined) {
    throw new ServerError(`${wanted} is not installed, and there is no apt-get to install it with: install it by hand`)
  }
  const asRoot: string[] = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  if (asRoot.length > 0 && !(await succeeds('sudo', ['-n', 'true']))) {
    throw new ServerError(
      `${wanted} is not installed, and only root can install it: sudo apt-get install --no-install-recommends ${alternatives[0]}`,
    )
  }
  let reason: unknown
  for (const name of alternatives) {
    say(`installing the package ${name}`)
    const [file, ...args] = [...asRoot, 'sh', '-c', aptScript, 'sh', name]
    try {
      await work(file, args)
      return
    } catch (error) {
      reason ??= error
    }
  }
  throw new ServerError(`the package ${wanted} cannot be installed: ${(reason as Error).message}`)
}

/** The package lists are brought up to date only where it does not work without: on a fresh machine there are none. */
const aptScript = `
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"
  chmod 755 "$policy"
fi
get() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$1"; }
get "$1" || { apt-get update -o DPkg::Lock::Timeout=300 && get "$1"; }
`
