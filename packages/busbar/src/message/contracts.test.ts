import { expect, test } from 'vitest'
import { command, definitionOf, event } from './contract.ts'
import { ContractRegistry, matchesPattern } from './contracts.ts'
import { DomainEvent } from './domain-event.ts'
import { ConfigurationError } from './errors.ts'
import { typed } from './schema.ts'

const Placed = event('order.placed', typed<unknown>())
const Paid = event('order.paid', typed<unknown>(), { version: 2 })
const Line = event('order.line.added', typed<unknown>())
const Ship = command('Ship', typed<unknown>())

test('knows what it was given, in that order, the same one only once', () => {
  const registry = new ContractRegistry()
  for (const contract of [Placed, Ship, Placed]) registry.add(contract)
  expect(registry.all()).toEqual([definitionOf(Placed), definitionOf(Ship)])
  expect(registry.get('Ship')).toBe(definitionOf(Ship))
  expect(registry.get('Unknown')).toBeUndefined()
})

test('two contracts of one type are refused with both versions', () => {
  const registry = new ContractRegistry()
  registry.add(Paid)
  expect(() => registry.add(event('order.paid', typed<unknown>(), { version: 5 }))).toThrow(ConfigurationError)
  expect(() => registry.add(event('order.paid', typed<unknown>(), { version: 5 }))).toThrow(/version 2.*version 5/)
  expect(registry.get('order.paid')?.version).toBe(2)
})

test('an event class is learned once, however often it is named', () => {
  class Shipped extends DomainEvent {
    static readonly type = 'Shipped'
  }
  const registry = new ContractRegistry()
  expect(registry.add(Shipped)).toBe(registry.add(Shipped))
})

test('a subclass that inherits its type is another contract of that type, and refused', () => {
  class Shipped extends DomainEvent {
    static readonly type: string = 'Shipped'
  }
  class ShippedAbroad extends Shipped {}
  const registry = new ContractRegistry()
  registry.add(Shipped)
  expect(() => registry.add(ShippedAbroad)).toThrow(ConfigurationError)
})

test('registries share nothing', () => {
  const one = new ContractRegistry()
  one.add(Placed)
  expect(new ContractRegistry().all()).toEqual([])
})

test('a pattern selects by type', () => {
  const registry = new ContractRegistry()
  for (const contract of [Placed, Paid, Line, Ship]) registry.add(contract)
  const types = (pattern: string): string[] => registry.matching(pattern).map(({ type }) => type)
  expect(types('*')).toEqual(['order.placed', 'order.paid', 'order.line.added', 'Ship'])
  expect(types('order.*')).toEqual(['order.placed', 'order.paid', 'order.line.added'])
  expect(types('order.line.*')).toEqual(['order.line.added'])
  expect(types('Ship')).toEqual(['Ship'])
  expect(types('ship')).toEqual([])
})

test('a pattern needs at least one segment below its prefix', () => {
  expect(matchesPattern('order.*', 'order')).toBe(false)
  expect(matchesPattern('order.*', 'order.')).toBe(false)
  expect(matchesPattern('order.*', 'orders.placed')).toBe(false)
  expect(matchesPattern('order.*', 'order.placed')).toBe(true)
})

test.each(['', 'order*', '*.placed', 'a.*.b', '**', '.*', 'order.**'])('%j is refused as a pattern', (pattern) => {
  expect(() => matchesPattern(pattern, 'order.placed')).toThrow(ConfigurationError)
})
