import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from './dummy.fixture.ts'
import { end, familyOf, identify, type Identity, isAlive, isGoneWithin, kill, signal } from './identity.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** A process that has run the program and says so. */
async function started(program: string): Promise<Identity> {
  const child = spawn(process.execPath, ['-e', `${program}; setInterval(() => {}, 1000); console.log('ready')`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  children.push(child)
  await once(child.stdout, 'data')
  const identity = identify(child.pid ?? 0)
  if (identity === undefined) throw new Error('the process ended at once')
  return identity
}

describe('the identity of a process', () => {
  test('is that of its id and its start', async () => {
    const one = await started('')
    expect(identify(one.pid)).toEqual(one)
    expect(isAlive(one)).toBe(true)
    expect(one.started).not.toBe('')
  })

  test('is not that of a later process with the same id, which no signal reaches', async () => {
    const later = await started('')
    const earlier = { ...later, started: `${later.started}0` }
    expect(isAlive(earlier)).toBe(false)
    expect(signal(earlier, 'SIGKILL')).toBe(false)
    await end(earlier, 'SIGTERM', 1000)
    await kill(earlier)
    expect(familyOf(earlier)).toEqual([])
    expect(isAlive(later)).toBe(true)
  })

  test('is gone when the process has ended, though nobody has reaped it', async () => {
    // The shell starts a child and then becomes a program that never asks for the child's end.
    const shell = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
    children.push(shell)
    const [printed] = (await once(shell.stdout, 'data')) as [Buffer]
    const pid = Number(printed.toString())
    expect(pid).toBeGreaterThan(0)
    await until('the child to end', () => identify(pid) === undefined)
  })
})

describe('ending a process', () => {
  test('asks first', async () => {
    const polite = await started("process.on('SIGTERM', () => process.exit())")
    await end(polite, 'SIGTERM', 30_000)
    expect(isAlive(polite)).toBe(false)
  })

  test('kills one that does not go in time', async () => {
    const stubborn = await started("process.on('SIGTERM', () => {})")
    expect(signal(stubborn, 'SIGTERM')).toBe(true)
    expect(await isGoneWithin(stubborn, 100)).toBe(false)
    await end(stubborn, 'SIGTERM', 100)
    expect(isAlive(stubborn)).toBe(false)
  })

  test('with kill -9 takes its descendants along, and nobody else', async () => {
    const bystander = await started('')
    const parent = await started(`require('node:child_process').spawn('sleep', ['60'])`)
    const [itself, child] = familyOf(parent)
    expect(itself).toEqual(parent)
    expect(child && isAlive(child)).toBe(true)
    await kill(parent)
    expect(isAlive(parent)).toBe(false)
    expect(child && isAlive(child)).toBe(false)
    expect(isAlive(bystander)).toBe(true)
  })
})
