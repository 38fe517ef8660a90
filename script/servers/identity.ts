/**
 * Which process is meant. A process id alone does not say: it is given again to another process, so nothing is signalled
 * without its start time.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Identity {
  readonly pid: number
  /** When it started, in the system's words; compared, never read. */
  readonly started: string
}

interface Entry {
  readonly parent: number
  readonly identity: Identity
}

/** The process that has this id now; undefined if there is none, or one that has ended and waits to be reaped. */
export function identify(pid: number): Identity | undefined {
  return entryOf(pid)?.identity
}

export function isAlive({ pid, started }: Identity): boolean {
  return identify(pid)?.started === started
}

/** Sends the signal to exactly this process. Returns false if it is gone. */
export function signal(identity: Identity, name: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false
  try {
    return process.kill(identity.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Waits until it is gone; false if it is still there after `milliseconds`. */
export async function isGoneWithin(identity: Identity, milliseconds: number): Promise<boolean> {
  const deadline = performance.now() + milliseconds
  while (isAlive(identity)) {
    if (performance.now() > deadline) return false
    await sleep(20)
  }
  return true
}

/** The process and all that descend from it, itself first. */
export function familyOf(identity: Identity): readonly Identity[] {
  if (!isAlive(identity)) return []
  const entries = pids().map(entryOf)
  const family = [identity]
  for (const member of family) {
    for (const entry of entries) if (entry?.parent === member.pid) family.push(entry.identity)
  }
  return family
}

/** Ends a process: asks with `name`, and kills it with its descendants if it has not gone within `grace` milliseconds. */
export async function end(identity: Identity, name: NodeJS.Signals, grace: number): Promise<void> {
  if (!signal(identity, name)) return
  if (!(await isGoneWithin(identity, grace))) await kill(identity)
}

/** kill -9 of the process and its descendants, as if all of it crashed at once; resolves when they are gone. */
export async function kill(identity: Identity): Promise<void> {
  const family = familyOf(identity)
  for (const member of family) signal(member, 'SIGKILL')
  for (const member of family) {
    if (!(await isGoneWithin(member, 30_000))) throw new Error(`process ${member.pid} does not end after kill -9`)
  }
}

const isLinux = process.platform === 'linux'
// Start times count from the boot, so another boot's may be equal.
const boot = isLinux ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8) : ''

function entryOf(pid: number): Entry | undefined {
  return isLinux ? entryFromProc(pid) : entryFromPs(pid)
}

function entryFromProc(pid: number): Entry | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The name before the last bracket may hold anything, spaces and brackets included.
  const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // Its first thread may be a zombie while others still hold its ports and files.
  const threads = Number(rest[15])
  if (state === 'X' || (state === 'Z' && threads <= 1)) return undefined
  return { parent: Number(parent), identity: { pid, started: `${boot}:${rest[17]}` } }
}

function entryFromPs(pid: number): Entry | undefined {
  const { stdout } = spawnSync('ps', ['-o', 'stat=,ppid=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
  const [state = 'Z', parent, ...started] = stdout.trim().split(/\s+/)
  if (state === '' || state.startsWith('Z')) return undefined
  return { parent: Number(parent), identity: { pid, started: started.join(' ') } }
}

function pids(): number[] {
  const names = isLinux
    ? readdirSync('/proc')
    : spawnSync('ps', ['-A', '-o', 'pid='], { encoding: 'utf8' }).stdout.split('\n')
  return names.map(Number).filter((pid) => pid > 0)
}
