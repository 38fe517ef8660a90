import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, test } from 'vitest'

import { event, typed } from '../message/contract.ts'
import { ambient } from '../message/causation.ts'
import { handledAs } from './ambient.ts'

const Happened = event('Happened', typed<{ n: number }>())
const first = Happened.create({ n: 1 })
const second = Happened.create({ n: 2 })

async function messageAfter(turns: number): Promise<unknown> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve()
  await new Promise((resolve) => setImmediate(resolve))
  return ambient.getStore()
}

describe('the message that is being handled', () => {
  test('is known wherever the code of its handler has gone, whatever else is handled meanwhile', async () => {
    const runs = [first, second].map((message, turns) => handledAs(message, messageAfter, turns, undefined))
    expect(await Promise.all(runs)).toEqual([first, second])
  })

  test('is not known to whoever started its handling', async () => {
    await handledAs(first, messageAfter, 0, undefined)
    expect(ambient.getStore()).toBeUndefined()
    const seen = handledAs(first, () => handledAs(second, () => ambient.getStore(), 0, 0) === second, 0, 0)
    expect(seen).toBe(true)
    const after = handledAs(first, () => (handledAs(second, () => 0, 0, 0), ambient.getStore()), 0, 0)
    expect(after).toBe(first)
  })

  test('is the only thing in the async context of its handler: not the request of whoever published', async () => {
    const request = new AsyncLocalStorage<string>()
    const inHandler = request.run('request-1', () => handledAs(first, async () => request.getStore(), 0, 0))
    expect(await inHandler).toBeUndefined()
    expect(request.run('request-2', () => (handledAs(first, () => 0, 0, 0), request.getStore()))).toBe('request-2')
  })
})
