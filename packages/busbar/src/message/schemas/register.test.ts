import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { command, event } from '../contract.ts'
import { ConfigurationError } from '../errors.ts'
import { typed } from '../schema.ts'
import { type CompatibilityLevel, SchemaCompatibilityError } from './compatibility.ts'
import { MemorySchemaRegistry } from './memory-registry.ts'
import { checkContracts, registerContracts } from './register.ts'
import { SchemaConflictError } from './registry.ts'

const noop = (old: unknown): unknown => old
const One = event('Placed', z.object({ id: z.string() }))
const WithOptional = event('Placed', z.object({ id: z.string(), note: z.string().optional() }), { version: 2 })
const WithRequired = event('Placed', z.object({ id: z.string(), note: z.string() }), { version: 2 })
const Without = event('Placed', z.object({}), { version: 2 })
const Renamed = event('Placed', z.object({ no: z.number() }), { version: 2 })

async function after(...contracts: Parameters<typeof registerContracts>[1][number][]): Promise<MemorySchemaRegistry> {
  const registry = new MemorySchemaRegistry()
  for (const contract of contracts) await registerContracts(registry, [contract], 'NONE')
  return registry
}

async function refusal(attempt: Promise<unknown>): Promise<SchemaCompatibilityError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(SchemaCompatibilityError)
  return error as SchemaCompatibilityError
}

describe('levels', () => {
  test.each<readonly [string, typeof One, Partial<Record<CompatibilityLevel, 'incompatible'>>]>([
    ['an optional property more', WithOptional, {}],
    ['a required property more', WithRequired, { BACKWARD: 'incompatible', FULL: 'incompatible' }],
    ['a required property less', Without, { FORWARD: 'incompatible', FULL: 'incompatible' }],
    ['another property', Renamed, { BACKWARD: 'incompatible', FORWARD: 'incompatible', FULL: 'incompatible' }],
  ] as never)('%s', async (_edit, contract, expected) => {
    const registry = await after(One)
    for (const level of ['NONE', 'BACKWARD', 'FORWARD', 'FULL'] as const) {
      for (const each of level === 'NONE' ? [level] : [level, `${level}_TRANSITIVE` as const]) {
        const [result] = await checkContracts(registry, [contract], each)
        expect(result?.verdict, each).toBe(expected[level] ?? 'compatible')
        expect(result?.level).toBe(each)
      }
    }
  })

  test('without _TRANSITIVE only the version before counts', async () => {
    const Third = event('Placed', z.object({ id: z.string(), note: z.string() }), { version: 3 })
    const registry = await after(One, WithRequired)
    await expect(checkContracts(registry, [Third], 'BACKWARD')).resolves.toMatchObject([{ verdict: 'compatible' }])
    const [result] = await checkContracts(registry, [Third], 'BACKWARD_TRANSITIVE')
    expect(result?.breaks).toMatchObject([{ path: 'note', older: 1, newer: 3, breaks: 'backward' }])
  })

  test('a version that comes late is compared with the newer one too', async () => {
    const registry = await after(WithRequired)
    const [result] = await checkContracts(registry, [One], 'BACKWARD')
    expect(result?.breaks).toMatchObject([{ path: 'note', older: 1, newer: 2 }])
  })

  test('an unknown level is refused with the known ones', async () => {
    const attempt = checkContracts(await after(One), [WithOptional], 'SIDEWAYS' as CompatibilityLevel)
    await expect(attempt).rejects.toThrow(/'SIDEWAYS'.*BACKWARD_TRANSITIVE/)
  })
})

describe('upcasters', () => {
  const upcasting = (version: number, upcast: Record<number, typeof noop>) =>
    event('Placed', z.object({ id: z.string(), note: z.string() }), { version, upcast })

  test('accept what breaks BACKWARD, and the result says so', async () => {
    const [result] = await registerContracts(await after(One), [upcasting(2, { 1: noop })], 'BACKWARD')
    expect(result).toMatchObject({ verdict: 'compatible', breaks: [] })
    expect(result?.notes).toEqual([
      expect.stringMatching(/upcasters from version 1 to 2 make good for: note: was added/),
    ])
  })

  test('do not help those who read new data with the old version', async () => {
    const removing = event('Placed', z.object({}), { version: 2, upcast: { 1: noop } })
    expect(await checkContracts(await after(One), [removing], 'FULL')).toMatchObject([
      { verdict: 'incompatible', breaks: [{ breaks: 'forward', path: 'id' }] },
    ])
  })

  test('with a gap are none', async () => {
    const registry = await after(One, WithOptional)
    const [whole] = await checkContracts(registry, [upcasting(3, { 1: noop, 2: noop })], 'BACKWARD_TRANSITIVE')
    expect(whole?.verdict).toBe('compatible')
    const [gap] = await checkContracts(registry, [upcasting(3, { 2: noop })], 'BACKWARD_TRANSITIVE')
    expect(gap?.breaks).toMatchObject([{ older: 1, path: 'note' }])
  })

  test('that are missing are told of, also where the schemas fit: a bus would not read the old data', async () => {
    const [result] = await checkContracts(await after(One), [WithOptional], 'BACKWARD')
    expect(result?.verdict).toBe('compatible')
    expect(result?.notes).toEqual([expect.stringMatching(/no upcaster from version 1 to 2: a bus dead-letters/)])
  })

  test('make a version without schema readable', async () => {
    const registry = await after(event('Placed', typed<unknown>()))
    expect(await checkContracts(registry, [WithOptional], 'BACKWARD')).toMatchObject([{ verdict: 'not checkable' }])
    expect(await checkContracts(registry, [upcasting(2, { 1: noop })], 'BACKWARD')).toMatchObject([
      { verdict: 'compatible' },
    ])
  })
})

describe('registering', () => {
  test('the same again is registered, and not compared again', async () => {
    const registry = await after(One, Renamed)
    const again = event('Placed', z.object({ id: z.string().describe('the order') }))
    expect(await registerContracts(registry, [again], 'FULL_TRANSITIVE')).toMatchObject([{ verdict: 'registered' }])
  })

  test('the same version with another schema is refused, at every level', async () => {
    const registry = await after(One)
    const changed = event('Placed', z.object({ id: z.number() }))
    for (const level of ['NONE', 'FULL'] as const) {
      const attempt = registerContracts(registry, [changed], level)
      await expect(attempt).rejects.toThrow(SchemaConflictError)
      await expect(attempt).rejects.toThrow(/Placed version 1 .*version 2, with an upcaster from 1/)
    }
    await expect(registry.register({ type: 'Placed', version: 1, upcastsFrom: 1, schema: {} })).rejects.toThrow(
      ConfigurationError,
    )
  })

  test('all that is wrong is in one error, and nothing was registered', async () => {
    const Paid = event('Paid', z.object({ cents: z.number() }))
    const registry = await after(One, Paid)
    const Fine = event('Fine', z.object({}))
    const attempt = [Fine, Renamed, event('Paid', z.object({ cents: z.string() }), { version: 2 })]
    const error = await refusal(registerContracts(registry, attempt, 'FULL'))
    expect(error.results.map(({ type }) => type)).toEqual(['Placed', 'Paid'])
    expect(error.message).toContain(
      'Placed version 2 is not FULL compatible:\n  - no: was added as required; data of version 1 lacks it',
    )
    expect(error.message).toContain('  - cents: type number → string; data of version 1 may hold a number')
    expect(error.message).toContain('add upcasters')
    expect(await registry.types()).toEqual(['Paid', 'Placed'])
    expect(await registry.versions('Placed')).toHaveLength(1)
  })

  test('a contract without schema is registered without, and not called compatible', async () => {
    const registry = new MemorySchemaRegistry()
    const Typed = command('Ship', typed<{ id: string }>())
    expect(await registerContracts(registry, [Typed], 'BACKWARD')).toMatchObject([
      { verdict: 'not checkable', notes: ['version 1 has no JSON Schema: it declares only a type'] },
    ])
    expect(await registry.get('Ship', 1)).toEqual({ type: 'Ship', version: 1, upcastsFrom: 1 })
    const Second = command('Ship', z.object({ id: z.string() }), { version: 2 })
    const [result] = await checkContracts(registry, [Second], 'BACKWARD')
    expect(result).toMatchObject({
      verdict: 'not checkable',
      unknown: [{ text: expect.stringContaining('version 1 has no JSON Schema') }],
    })
  })

  test('one without schema takes none away, and one with schema adds it', async () => {
    const registry = await after(event('Placed', typed<unknown>()), One)
    await registerContracts(registry, [event('Placed', typed<unknown>())], 'FULL')
    expect(await registry.get('Placed', 1)).toMatchObject({ schema: { type: 'object', required: ['id'] } })
  })

  test('what cannot be judged is refused where that is asked for', async () => {
    const registry = await after(event('Odd', z.object({ a: z.string().regex(/^a/) })), event('Ship', typed<unknown>()))
    const odd = event('Odd', z.object({ a: z.string().regex(/^b/) }), { version: 2 })
    const ship = event('Ship', typed<unknown>(), { version: 2 })
    expect(await registerContracts(new MemorySchemaRegistry(registry.toJSON()), [odd, ship], 'BACKWARD')).toMatchObject(
      [{ verdict: 'unknown' }, { verdict: 'not checkable' }],
    )
    const error = await refusal(registerContracts(registry, [odd, ship], 'BACKWARD', { refuseUnknown: true }))
    expect(error.results).toHaveLength(2)
    expect(error.message).toContain('pattern ^a → ^b cannot be judged')
    const fresh = registerContracts(new MemorySchemaRegistry(), [ship], 'BACKWARD', { refuseUnknown: true })
    await expect(fresh).rejects.toThrow('it declares only a type')
  })

  test('a registry survives a file, as JSON', async () => {
    const registry = await after(One, WithOptional, event('A', typed<unknown>()))
    const copy = new MemorySchemaRegistry(JSON.parse(JSON.stringify(registry)) as never)
    expect(copy.toJSON()).toEqual(registry.toJSON())
    expect((await copy.versions('Placed')).map(({ version }) => version)).toEqual([1, 2])
    expect(await copy.types()).toEqual(['A', 'Placed'])
    expect(await copy.get('Placed', 9)).toBeUndefined()
    expect(await copy.versions('Unknown')).toEqual([])
    expect(await registerContracts(copy, [One], 'FULL')).toMatchObject([{ verdict: 'registered' }])
  })

  test('what is registered does not change with the object that was given', async () => {
    const schema = { type: 'object', required: ['a'] }
    const registry = new MemorySchemaRegistry([{ type: 'A', version: 1, upcastsFrom: 1, schema }])
    schema.required.push('b')
    expect(await registry.get('A', 1)).toMatchObject({ schema: { required: ['a'] } })
  })
})
