import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Link } from './connection.ts'
import { silent } from './fixtures/messages.ts'
import { Sender } from './sender.ts'

type Confirm = (error: unknown) => void

/** A channel that remembers what was published on it and confirms what it is told to. */
class FakeChannel extends EventEmitter {
  readonly sent: { readonly key: string; readonly confirm: Confirm }[] = []

  publish(_exchange: string, key: string, _content: Buffer, _options: object, confirm: Confirm): boolean {
    this.sent.push({ key, confirm })
    return true
  }

  end(): void {
    for (const { confirm } of this.sent.splice(0)) confirm(new Error('channel closed'))
    this.emit('close')
  }
}

function linkOf(channels: FakeChannel[]) {
  const link = {
    onUp: new Set<() => void>(),
    onUnblocked: new Set<() => void>(),
    isUp: true,
    blocked: undefined as string | undefined,
    dropped: [] as string[],
    confirmChannel() {
      const channel = new FakeChannel()
      channels.push(channel)
      return Promise.resolve(channel)
    },
    leaving: undefined as (() => void) | undefined,
    gather(left: () => void): boolean {
      link.leaving = left
      return true
    },
    /** The turn of the event loop ends. */
    leave() {
      const { leaving } = link
      link.leaving = undefined
      leaving?.()
    },
    drop(why: string) {
      link.dropped.push(why)
      channels.at(-1)?.end()
    },
  }
  return link
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

async function begin() {
  const channels: FakeChannel[] = []
  const link = linkOf(channels)
  const sender = new Sender(link as unknown as Link, 30_000, silent)
  await sender.start()
  onTestFinished(() => sender.end())
  const send = (key: string): Promise<boolean> => sender.send('', key, Buffer.from(key), {})
  return { channels, link, send }
}

test('a server that lives and never confirms is left: what waited too long is refused, the rest is sent again', async () => {
  const { channels, link, send } = await begin()
  const first = send('first').catch((error: unknown) => String(error))
  await vi.advanceTimersByTimeAsync(20_000)
  const second = send('second')
  await vi.advanceTimersByTimeAsync(9_000)
  expect(link.dropped).toEqual([])
  await vi.advanceTimersByTimeAsync(3_000)
  expect(link.dropped).toEqual([expect.stringMatching(/queue first was not confirmed for 30000 ms/)])
  expect(await first).toMatch(/not confirmed; it may have arrived/)
  expect(channels[1]?.sent.map(({ key }) => key)).toEqual(['second'])
  channels[1]?.sent[0]?.confirm(null)
  await expect(second).resolves.toBe(true)
})

test('much at once leaves in parts, so that the server has something to do, and in order with what comes meanwhile', async () => {
  const { channels, link, send } = await begin()
  const sent = (): (string | undefined)[] | undefined => channels[0]?.sent.map(({ key }) => key)
  const all = Array.from({ length: 60 }, (_, n) => String(n))
  const confirmed = all.slice(0, 55).map(send)
  expect(sent()).toEqual(all.slice(0, 25))
  link.leave()
  expect(sent()).toEqual(all.slice(0, 50))
  confirmed.push(...all.slice(55).map(send))
  expect(sent()).toEqual(all.slice(0, 50))
  link.leave()
  expect(sent()).toEqual(all)
  for (const { confirm } of channels[0]?.sent ?? []) confirm(null)
  await Promise.all(confirmed)
  link.leave()
  expect(link.leaving).toBeUndefined()
})

test('a server that is slow and goes on confirming in order is not left, nor one that says that it takes nothing', async () => {
  const { channels, link, send } = await begin()
  const sent = Array.from({ length: 10 }, (_, n) => send(String(n)))
  for (const { confirm } of channels[0]?.sent ?? []) {
    await vi.advanceTimersByTimeAsync(20_000)
    confirm(null)
  }
  await Promise.all(sent)
  const probe = send('probe')
  link.blocked = 'low on memory'
  await vi.advanceTimersByTimeAsync(120_000)
  link.blocked = undefined
  expect(link.dropped).toEqual([])
  channels[0]?.sent.at(-1)?.confirm(null)
  await expect(probe).resolves.toBe(true)
})
