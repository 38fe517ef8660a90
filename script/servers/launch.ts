/** Starting a server: its processes one after the other, and waiting until it answers. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { end, identify, type Identity, isAlive } from './identity.ts'
import { find, lastLines } from './install.ts'
import { type Command, type Place, ServerError, type ServerKind } from './server.ts'

export interface ServerProcess extends Identity {
  readonly role: string
}

export interface LaunchOptions {
  /** True: it ends with this process, however that ends. False: it goes on without us. */
  readonly leashed: boolean
  /** Called with all that runs so far, at once when each process has begun. */
  readonly began?: (processes: readonly ServerProcess[]) => void
  /** Milliseconds until it must answer; default two minutes. */
  readonly patience?: number
}

/** File in a server's folder with all that it printed. */
export const logFile = 'log'
/** Milliseconds that a server has to end in order. */
export const grace = 30_000

/** The server did not come up; nothing of it runs any more. */
export class LaunchError extends ServerError {
  override readonly name: string = 'LaunchError'
}

/** Starts a server and resolves to its processes, the server itself last, when it answers at its URL. @throws LaunchError */
export async function launch(
  kind: ServerKind,
  place: Place,
  options: LaunchOptions,
): Promise<readonly ServerProcess[]> {
  const deadline = performance.now() + 20_000
  for (;;) {
    try {
      return await launchOnce(kind, place, options)
    } catch (error) {
      const passes = kind.passing?.test((error as Error).message) ?? false
      if (!passes || performance.now() > deadline) throw error
      await sleep(250)
    }
  }
}

async function launchOnce(
  kind: ServerKind,
  place: Place,
  { leashed, began, patience = 120_000 }: LaunchOptions,
): Promise<readonly ServerProcess[]> {
  const log = join(place.folder, logFile)
  const printedBefore = statSync(log, { throwIfNoEntry: false })?.size ?? 0
  const running: ServerProcess[] = []
  try {
    await kind.prepare(place)
    for (const command of await kind.commands(place)) {
      const begun = await begin(command, place.folder, leashed)
      running.push(begun)
      began?.([...running])
      const answers = command.role === 'server' ? () => kind.answers(kind.url(place)) : command.answers?.bind(command)
      if (answers !== undefined) await untilReady(begun, answers, patience)
    }
    return running
  } catch (error) {
    await stop(kind, running)
    const printed = printedSince(log, printedBefore)
    throw new LaunchError(`${kind.name} did not start: ${(error as Error).message}\n${lastLines(printed, 12)}`.trim(), {
      cause: error,
    })
  }
}

/** Ends the processes of a server in order: the server first, what it needs after it. */
export async function stop(kind: ServerKind, processes: readonly ServerProcess[]): Promise<void> {
  for (const one of processes.toReversed()) {
    await end(one, one.role === 'server' ? kind.stopSignal : 'SIGTERM', grace)
  }
}

/** The process of the server itself, not of a helper. */
export function serverOf(processes: readonly ServerProcess[]): ServerProcess | undefined {
  return processes.find((one) => one.role === 'server')
}

/** Waits until the server answers; rejects at once when its process ends. */
export async function untilReady(server: ServerProcess, answers: () => Promise<void>, patience: number): Promise<void> {
  const deadline = performance.now() + patience
  for (;;) {
    const reason = await answers().then(
      () => undefined,
      (error: Error) => error,
    )
    // Asked after the answer: another program may sit on the port, and our server have ended because of it.
    if (!isAlive(server)) throw new Error(`its process ended (${server.role})`)
    if (reason === undefined) return
    if (performance.now() > deadline) throw new Error(`it was not ready within ${patience / 1000} s: ${reason.message}`)
    await sleep(50)
  }
}

async function begin(command: Command, folder: string, leashed: boolean): Promise<ServerProcess> {
  const log = openSync(join(folder, logFile), 'a')
  try {
    writeSync(log, `--- ${new Date().toISOString()} ${command.role}\n`)
    const [file = '', ...args] = await commandLine(command, leashed)
    const child = spawn(file, args, {
      cwd: command.user === undefined ? folder : '/',
      env: environmentOf(command),
      // A session of its own: a Ctrl-C in our terminal is not meant for it.
      detached: true,
      stdio: ['ignore', log, log],
    })
    const pid = await begun(child)
    const identity = identify(pid)
    if (identity === undefined) throw new Error(`${file} ended at once`)
    if (leashed) killAtExit(child)
    child.unref()
    return { ...identity, role: command.role }
  } finally {
    closeSync(log)
  }
}

/** Runs a command to its end and returns what it printed. @throws ServerError with the last of it */
export async function runToEnd(command: Command, input = ''): Promise<string> {
  const [file = '', ...args] = await commandLine(command, false)
  const child = spawn(file, args, { cwd: '/', env: environmentOf(command), stdio: ['pipe', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
    })
  }
  // What does not read its input has a reason, and that is in what it printed.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  await begun(child)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== 0) throw new ServerError(`${command.role} failed: ${lastLines(printed)}`)
  return printed
}

function begun(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0))
    child.once('error', reject)
  })
}

async function commandLine(command: Command, leashed: boolean): Promise<readonly string[]> {
  const { user } = command
  const setpriv = user !== undefined || leashed ? await find('setpriv') : undefined
  if (setpriv !== undefined) {
    const leash = leashed ? { leashed } : {}
    return [
      setpriv,
      ...setprivArguments({ ...(user === undefined ? {} : { user }), ...leash }),
      command.file,
      ...command.args,
    ]
  }
  if (user !== undefined) throw new Error(`running as ${user.name} needs setpriv: install util-linux`)
  return [command.file, ...command.args]
}

/** Arguments of `setpriv`, which becomes the command that follows them. */
export function setprivArguments({ user, leashed = false }: { user?: User; leashed?: boolean }): readonly string[] {
  const args: string[] = []
  if (user !== undefined) {
    args.push(`--reuid=${user.name}`, `--regid=${user.name}`, '--init-groups')
    const kept = user.capabilities.map((name) => `+${name}`).join(',')
    if (kept !== '') args.push(`--inh-caps=${kept}`, `--ambient-caps=${kept}`)
  }
  // The system kills it when we are gone, also by kill -9. A change of user would undo that, so one setpriv does both.
  if (leashed) args.push('--pdeathsig', 'KILL')
  return args
}

type User = NonNullable<Command['user']>

/** Only what a server needs: our own variables, such as NODE_OPTIONS or JAVA_TOOL_OPTIONS, are not its business. */
function environmentOf(command: Command): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TZ']
  const own = Object.fromEntries(
    kept.map((name) => [name, process.env[name]]).filter(([, value]) => value !== undefined),
  )
  return { ...own, LC_ALL: 'C', ...command.env }
}

/** Where there is no setpriv, this holds as long as we end by ourselves. */
function killAtExit(child: ChildProcess): void {
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.removeListener('exit', kill))
}

function printedSince(log: string, size: number): string {
  try {
    return readFileSync(log).subarray(size).toString()
  } catch {
    return ''
  }
}
