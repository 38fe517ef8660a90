import { describe, expect, test } from 'vitest'

import { EventBus, silentLogger } from '../bus/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { command, event, typed } from '../message/index.ts'
import { CommandHandler, EventHandler, HandleEvent, register, Subscribe } from './index.ts'

const Placed = event('Placed', typed<{ orderId: string }>())
const Ship = command('Ship', typed<{ orderId: string }>())

type Call = (...args: readonly unknown[]) => void

/** A context as compilers make it. */
const context = (kind: string, more: object = {}) => ({
  kind,
  name: 'on',
  static: false,
  private: false,
  metadata: {},
  ...more,
})
const method = (): void => {}

describe('what a decorator refuses, when the class is defined', () => {
  test.each([
    ['a field', [undefined, context('field')], /on is a field/],
    ['a getter', [method, context('getter')], /on is a getter/],
    ['a static method', [method, context('method', { static: true })], /on is static/],
    ['a private method', [method, context('method', { private: true })], /on is private/],
    [
      'a method without metadata',
      [method, context('method', { metadata: undefined })],
      /no metadata object: compile with/,
    ],
    ['a field of a legacy class', [class {}.prototype, 'on', undefined], /on is a field or accessor/],
    ['an accessor of a legacy class', [class {}.prototype, 'on', { get: method }], /on is a field or accessor/],
    ['a static method of a legacy class', [class {}, 'on', { value: method }], /on is static/],
    ['a class', [class {}], /@HandleEvent is for methods; for a class there is @EventHandler/],
  ])('%s', (_, args, text) => {
    expect(() => (HandleEvent(Placed) as Call)(...args)).toThrow(text)
  })

  test('an event that is not there yet, because modules import each other', () => {
    const missing = undefined as unknown as typeof Placed
    expect(() => EventHandler(missing)).toThrow('do the two modules import each other?')
    expect(() => HandleEvent(missing)).toThrow('@HandleEvent was given undefined')
  })

  test('a command where an event belongs, and the reverse', () => {
    expect(() => Subscribe(Ship as never)).toThrow('@Subscribe was given the command Ship: use')
    expect(() => CommandHandler(Placed as never)).toThrow('@CommandHandler was given the event Placed: use')
  })

  test('an empty list', () => {
    expect(() => HandleEvent([])).toThrow('@HandleEvent was given an empty list')
  })

  test('options without an event, on a method', () => {
    const decorate = EventHandler({ name: 'billing' }) as Call
    expect(() => decorate(method, context('method'))).toThrow('@EventHandler of on names no event')
  })
})

test('the symbol for metadata is that of the language, or the one that compilers bring along', () => {
  expect((Symbol as { metadata?: symbol }).metadata).toBe(Symbol.for('Symbol.metadata'))
})

test('`register` is the same as the method of the bus', async () => {
  await using bus = new EventBus(new MemoryBroker(), { logger: silentLogger })
  class Billing {
    handle(): void {}
  }
  ;(EventHandler(Placed) as Call)(Billing)
  const billing = new Billing()
  const registration = await register(bus, billing)
  expect(bus.handlers.registrations()).toEqual([registration])
  await expect(bus.register(billing)).rejects.toThrow('registered on this bus already')
})
