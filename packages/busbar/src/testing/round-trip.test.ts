import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'

import { event, JsonCodec, RichJsonCodec, typed } from '../message/index.ts'
import type { Codec } from '../message/index.ts'
import { RoundTripError } from './round-trip.ts'
import { createTestEventBus } from './test-event-bus.ts'

const moment = new Date('2026-01-02T03:04:05.678Z')

describe('the round trip of every publish of a test bus', () => {
  test('a Date that no schema brings back is an error that names its path, and nothing is sent', async () => {
    const Planned = event('Planned', typed<{ visits: { at: Date }[] }>())
    await using bus = await createTestEventBus()
    await bus.subscribe(Planned, () => {})
    const refused = bus.publish(Planned.create({ visits: [{ at: moment }] }))
    await expect(refused).rejects.toThrow(RoundTripError)
    await expect(refused).rejects.toMatchObject({ name: 'RoundTripError', path: 'visits[0].at' })
    await expect(refused).rejects.toThrow(
      `Planned would not come back from a wire as it was published: visits[0].at (published as Date, back as string). ` +
        `Say Date in the contract's schema`,
    )
    await bus.idle()
    expect([...bus.published(), ...bus.handled()]).toEqual([])
  })

  test.each([
    ['zod', z.object({ at: z.date() })],
    ['valibot', v.object({ at: v.date() })],
  ])('a Date that the schema of %s wants comes back as a Date', async (_, schema) => {
    const Planned = event('Planned', schema)
    await using bus = await createTestEventBus()
    await bus.publish(Planned.create({ at: moment }))
    expect(bus.published(Planned)[0]?.data).toEqual({ at: moment })
  })

  test('a Date is carried by the rich codec', async () => {
    const Planned = event('Planned', typed<{ at: Date; tags: Set<string> }>())
    await using bus = await createTestEventBus({ codec: new RichJsonCodec() })
    await bus.publish(Planned.create({ at: moment, tags: new Set(['a']) }))
    expect(bus.published(Planned)[0]?.data).toEqual({ at: moment, tags: new Set(['a']) })
  })

  test('of several fields only those that the schema leaves wrong are named', async () => {
    const Planned = event('Planned', z.object({ at: z.date(), note: z.unknown() }))
    await using bus = await createTestEventBus()
    await expect(bus.publish(Planned.create({ at: moment, note: moment }))).rejects.toMatchObject({ path: 'note' })
  })

  test('schemas that transform, fill in or drop fields are no error, however often they are asked', async () => {
    let made = 0
    const schema = z.object({
      name: z.string().trim(),
      at: z.date().transform((date) => date.getTime()),
      token: z.string().default(() => `token-${++made}`),
    })
    const Planned = event('Planned', schema)
    await using bus = await createTestEventBus()
    await bus.publish(Planned.create({ name: ' Ann ', at: moment, extra: true } as z.input<typeof schema>))
    expect(bus.published(Planned)[0]?.data).toMatchObject({ name: 'Ann', at: moment.getTime() })
  })

  test('a codec that loses something is found out, whatever it is', async () => {
    const lossy: Codec = {
      contentType: 'application/json',
      encode: (data) => JSON.stringify(data),
      decode: (body) => JSON.parse(String(body)) as unknown,
      snapshot: (data) => structuredClone(data),
    }
    const Counted = event('Counted', typed<{ counts: Map<string, number> }>())
    await using bus = await createTestEventBus({ codec: lossy })
    const refused = bus.publish(Counted.create({ counts: new Map([['a', 1]]) }))
    await expect(refused).rejects.toMatchObject({ path: 'counts' })
    await expect(refused).rejects.toThrow('published as Map, back as Object')
  })

  test('a schema that takes what is published but not what comes back is an error', async () => {
    class Money {
      readonly cents = 1
    }
    const keepsFields: Codec = {
      contentType: 'application/json',
      encode: (data) => JSON.stringify(data),
      decode: (body) => JSON.parse(String(body)) as unknown,
      snapshot: (data) => data,
    }
    const Priced = event('Priced', z.object({ price: z.instanceof(Money) }))
    await using bus = await createTestEventBus({ codec: keepsFields })
    const refused = bus.publish(Priced.create({ price: new Money() }))
    await expect(refused).rejects.toThrow(RoundTripError)
    await expect(refused).rejects.toThrow('Priced would be refused when it comes back from a wire')
  })

  test('an asynchronous schema is waited for', async () => {
    const Planned = event('Planned', z.object({ at: z.date().refine(async () => true), note: z.unknown() }))
    await using bus = await createTestEventBus()
    await bus.publish(Planned.create({ at: moment, note: 1 }))
    expect(bus.published(Planned)[0]?.data.at).toEqual(moment)
    await expect(bus.publish(Planned.create({ at: moment, note: moment }))).rejects.toMatchObject({ path: 'note' })
  })

  test('no publish overtakes another because it takes longer to check', async () => {
    const Planned = event('Planned', z.object({ step: z.number(), at: z.date() }))
    const Done = event('Done', typed<{ step: number }>())
    await using bus = await createTestEventBus()
    const steps = Array.from({ length: 40 }, (_, step) => step)
    const publish = (step: number): Promise<void> =>
      bus.publish(step % 2 === 0 ? Planned.create({ step, at: moment }) : Done.create({ step }))
    await Promise.all(steps.map(publish))
    expect(bus.published([Planned, Done]).map(({ data }) => data.step)).toEqual(steps)
  })

  test('one wrong message of several keeps all of them', async () => {
    const Planned = event('Planned', typed<{ at: unknown }>())
    await using bus = await createTestEventBus()
    await expect(bus.publish([Planned.create({ at: 1 }), Planned.create({ at: moment })])).rejects.toThrow(
      RoundTripError,
    )
    expect(bus.published()).toEqual([])
  })

  test('what publishing refuses anyway is refused with the same error', async () => {
    const Counted = event('Counted', z.object({ count: z.number() }))
    await using bus = await createTestEventBus({ codec: new JsonCodec() })
    await expect(bus.publish(Counted.create({ count: 'x' } as never))).rejects.toMatchObject({
      name: 'ValidationError',
    })
    const Any = event('Any', typed<unknown>())
    await expect(bus.publish(Any.create({ big: 1n }))).rejects.toMatchObject({ name: 'EncodeError', path: 'big' })
  })

  test('bytes as the whole data come back as bytes', async () => {
    const Scanned = event('Scanned', typed<Uint8Array>())
    await using bus = await createTestEventBus()
    await bus.publish(Scanned.create(Buffer.from('page')))
    expect(Buffer.from(bus.published(Scanned)[0]?.data ?? []).toString()).toBe('page')
  })

  test('it can be left out', async () => {
    const Planned = event('Planned', typed<{ at: Date }>())
    await using bus = await createTestEventBus({ roundTrip: false })
    await bus.publish(Planned.create({ at: moment }))
    expect(bus.published(Planned)).toHaveLength(1)
  })
})
