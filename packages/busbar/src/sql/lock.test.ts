import { expect, test } from 'vitest'
import { Lock } from './lock.ts'

test('lets one in at a time, in the order in which they asked', async () => {
  const lock = new Lock()
  const seen: string[] = []
  const use = async (name: string): Promise<void> => {
    await lock.acquire()
    seen.push(`${name} in`)
    await Promise.resolve()
    seen.push(`${name} out`)
    lock.release()
  }
  await Promise.all([use('a'), use('b'), use('c')])
  expect(seen).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out'])
  expect(lock.tryAcquire()).toBe(true)
  expect(lock.tryAcquire()).toBe(false)
})
