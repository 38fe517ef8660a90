import { expect, test, vi } from 'vitest'
import type { Message } from 'amqplib'
import type { Verdict } from '../broker/index.ts'
import { HandedOut } from './delivery.ts'
import { Line } from './line.ts'
import { toWire } from './wire.ts'
import { Window } from './window.ts'
import { order } from './fixtures/messages.ts'

/** Lines of partitions, each with one suspect at its head; tells whose start was to be stored and who runs. */
function suspects(...ids: string[]) {
  const ends = new Map<string, (verdict: Verdict) => void>()
  const running: string[] = []
  const storing = new Map<string, () => void>()
  const window = new Window(10, ({ message: { id } }) => {
    running.push(id)
    return new Promise((resolve) => ends.set(id, resolve))
  })
  const lines = ids.map((id) => {
    const open = new Set<HandedOut>()
    const delivery = suspect(id)
    open.add(delivery)
    const line = new Line({
      window,
      open,
      begin: ({ message }) => new Promise((resolve) => storing.set(message.id, resolve)),
      handOut: (one) => {
        window.enter()
        window.run(one, (settled) => open.delete(settled))
      },
    })
    line.add(delivery)
    return line
  })
  for (const line of lines) line.begin()
  const end = (id: string): void => ends.get(id)?.({ ack: true })
  const stored = (id: string): void => storing.get(id)?.()
  return { lines, running, storing: (): string[] => [...storing.keys()], stored, end }
}

function suspect(id: string): HandedOut {
  const { content, options } = toWire(order(id).message)
  const fields = { deliveryTag: 1, redelivered: true, exchange: '', routingKey: '0' }
  const owner = { doubtful: false, began: (): void => {} }
  const delivery = new HandedOut(owner, 'orders', '0@1', {
    content,
    fields,
    properties: options,
  } as unknown as Message)
  delivery.suspect = true
  return delivery
}

test('of two partitions whose first message may have killed its process, one is blamed at a time', async () => {
  const { running, storing, stored, end } = suspects('a', 'b')
  expect(storing()).toEqual(['a'])
  stored('a')
  await vi.waitFor(() => expect(running).toEqual(['a']))
  expect(storing()).toEqual(['a'])
  end('a')
  await vi.waitFor(() => expect(storing()).toEqual(['a', 'b']))
  stored('b')
  await vi.waitFor(() => expect(running).toEqual(['a', 'b']))
})

test('a partition that leaves while the start of its suspect is being stored holds up no other', async () => {
  const { lines, running, storing, stored } = suspects('a', 'b')
  expect(storing()).toEqual(['a'])
  lines[0]?.end()
  await vi.waitFor(() => expect(storing()).toEqual(['a', 'b']))
  stored('a')
  stored('b')
  await vi.waitFor(() => expect(running).toEqual(['b']))
})
