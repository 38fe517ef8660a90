import { expect, test } from 'vitest'
import { z } from 'zod'
import { MemoryBroker } from '../memory/index.ts'
import { event, MemorySchemaRegistry, SchemaCompatibilityError, SchemaConflictError, typed } from '../message/index.ts'
import { createEventBus } from '../factory.ts'
import { EventBus } from './bus.ts'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'

const One = event('Placed', z.object({ id: z.string() }))
const Two = event('Placed', z.object({ no: z.number() }), { version: 2 })
const Paid = event('Paid', z.object({ cents: z.number() }))
const PaidTwo = event('Paid', z.object({ cents: z.string() }), { version: 2 })

async function registered(): Promise<MemorySchemaRegistry> {
  const registry = new MemorySchemaRegistry()
  await using _bus = await memoryBus({ contracts: [One, Paid], schemas: { registry, compatibility: 'FULL' } })
  return registry
}

test('start registers every contract that is known by then', async () => {
  const registry = new MemorySchemaRegistry()
  const schemas = { registry, compatibility: 'BACKWARD' } as const
  await using bus = new EventBus(new MemoryBroker(), { contracts: [One], schemas, logger: keepingLogger() })
  await bus.subscribe(Paid, () => {})
  expect(await registry.types()).toEqual([])
  await bus.start()
  expect(await registry.types()).toEqual(['Paid', 'Placed'])
})

test('a bus with incompatible contracts does not start, and says all that is wrong', async () => {
  const registry = await registered()
  const schemas = { registry, compatibility: 'BACKWARD' } as const
  const broker = new MemoryBroker()
  await using bus = new EventBus(broker, { contracts: [Two, PaidTwo], schemas, logger: keepingLogger() })
  await expect(bus.start()).rejects.toThrow(SchemaCompatibilityError)
  await expect(bus.start()).rejects.toThrow(/no: was added as required.*\n.*\n.*cents: type number → string/)
  expect(await bus.health()).toMatchObject({ status: 'down' })
  expect(await registry.versions('Placed')).toHaveLength(1)
})

test('a contract that is changed without a new version stops the start', async () => {
  const schemas = { registry: await registered(), compatibility: 'NONE' } as const
  const changed = event('Placed', z.object({ id: z.number() }))
  await expect(memoryBus({ contracts: [changed], schemas })).rejects.toThrow(SchemaConflictError)
})

test('a contract that is learned later is registered when it is subscribed, or refused', async () => {
  const registry = await registered()
  await using bus = await memoryBus({ schemas: { registry, compatibility: 'FULL' } })
  await expect(bus.subscribe(Two, () => {}, { group: 'g' })).rejects.toThrow(SchemaCompatibilityError)
  expect(bus.subscriptions()).toEqual([])
  await bus.subscribe(event('New', z.object({})), () => {})
  expect(await registry.types()).toEqual(['New', 'Paid', 'Placed'])
})

test('what cannot be checked is a warning, or refused where that is asked for', async () => {
  const Typed = event('Typed', typed<{ id: string }>())
  const logger = keepingLogger()
  const registry = new MemorySchemaRegistry()
  await using bus = await memoryBus({ logger, contracts: [Typed], schemas: { registry, compatibility: 'FULL' } })
  await bus.subscribe(Typed, () => {})
  const warnings = logger.lines.filter(({ level }) => level === 'warn').map(({ text }) => text)
  expect(warnings).toEqual(['Typed version 1: version 1 has no JSON Schema: it declares only a type'])
  const schemas = { registry: new MemorySchemaRegistry(), compatibility: 'FULL', refuseUnknown: true } as const
  await expect(memoryBus({ contracts: [Typed], schemas })).rejects.toThrow(SchemaCompatibilityError)
})

test('a registry that is out of reach stops the start, which can be tried again', async () => {
  const registry = new MemorySchemaRegistry()
  let away = true
  const flaky = {
    register: (entry: Parameters<typeof registry.register>[0]) => registry.register(entry),
    get: (type: string, version: number) => registry.get(type, version),
    types: () => registry.types(),
    versions: async (type: string) => {
      if (away) throw new Error('registry is away')
      return registry.versions(type)
    },
  }
  const schemas = { registry: flaky, compatibility: 'FULL' } as const
  await using bus = new EventBus(new MemoryBroker(), { contracts: [One], schemas, logger: keepingLogger() })
  await expect(bus.start()).rejects.toThrow('registry is away')
  away = false
  await bus.start()
  expect(await registry.types()).toEqual(['Placed'])
})

test('the factory takes the option', async () => {
  const registry = new MemorySchemaRegistry()
  const schemas = { registry, compatibility: 'FULL' } as const
  await using _bus = await createEventBus('memory:', { contracts: [One], schemas, logger: keepingLogger() })
  expect(await registry.types()).toEqual(['Placed'])
})
