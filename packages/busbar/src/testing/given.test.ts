import { AssertionError } from 'node:assert'

import { describe, expect, test } from 'vitest'
import { AddItem, Cart, item, Noop, Order, Paid, Pay } from '../aggregates/fixtures/orders.ts'
import { AggregateEndedError } from '../aggregates/index.ts'
import { ValidationError } from '../message/index.ts'
import { given } from './given.ts'

const at = new Date('2026-03-04T05:06:07Z')
const pay = Pay.create({ at })
const items = [item('pen', 2), item('ink', 3)]
const passes = (asserting: Promise<void>): Promise<void> => expect(asserting).resolves.toBeUndefined()
const failure = (asserting: PromiseLike<void>): Promise<Error> =>
  Promise.resolve(asserting).then(
    () => Promise.reject(new Error('it passed')),
    (error: Error) => error,
  )

describe('given, when, then', () => {
  test('passes where the events are those that were said: by type and data, with what the schema adds', async () => {
    await passes(
      given(Order, items)
        .when(pay)
        .then([Paid.create({ at, total: 5 })]),
    )
    await passes(
      given(Order, items)
        .when(pay)
        .then(Paid.create({ at, total: 5 })),
    )
    await passes(
      given(Order, [])
        .when(AddItem.create({ name: 'pen', price: 1 }))
        .then([item('pen')]),
    )
    await passes(given(Order, items).when(Noop.create({})).then([]))
    expect.assertions(4)
  })

  test('fails with the difference where they are others', async () => {
    const other = await failure(
      given(Order, items)
        .when(pay)
        .then([Paid.create({ at, total: 6 })]),
    )
    expect(other).toBeInstanceOf(AssertionError)
    expect(other.message).toMatch(/\+ +total: 5\n- +total: 6/)
    expect(await failure(given(Order, items).when(pay).then([]))).toBeInstanceOf(AssertionError)
    expect(await failure(given(Order, items).when(Noop.create({})).then(items))).toBeInstanceOf(AssertionError)
  })

  test('passes where it is refused as was said: by class, text or likeness', async () => {
    const paid = [...items, Paid.create({ at, total: 5 })]
    await passes(
      given(Order, [])
        .when(pay)
        .then(/nothing to pay/),
    )
    await passes(given(Order, []).when(pay).then(Error))
    await passes(given(Order, []).when(pay).then(new Error('nothing to pay')))
    await passes(given(Order, paid).when(pay).then(AggregateEndedError))
    expect.assertions(4)
  })

  test('fails where it is refused otherwise, or not at all', async () => {
    const wrong = await failure(
      given(Order, [])
        .when(pay)
        .then(/paid already/),
    )
    expect(wrong.message).toBe('expected an error with /paid already/, and it was refused with Error: nothing to pay')
    expect((await failure(given(Order, []).when(pay).then(TypeError))).message).toMatch(/expected a TypeError/)
    expect((await failure(given(Order, []).when(pay).then(new Error('nothing')))).message).toMatch(/Error: nothing,/)
    expect((await failure(given(Order, items).when(pay).then(Error))).message).toBe(
      'expected a Error, and it was not refused: Paid happened',
    )
    expect((await failure(given(Order, []).when(Noop.create({})).then(Error))).message).toMatch(/nothing happened/)
  })

  test('an error that was not expected is itself what the test fails with', async () => {
    expect((await failure(given(Order, []).when(pay).then([]))).message).toBe('nothing to pay')
    const wrong = given(Order, [item('pen', 'much' as never)]).when(pay)
    await expect(wrong.then([])).rejects.toThrow(ValidationError)
  })

  test('one that says nothing of what comes fails instead of passing', async () => {
    const forgotten = given(Order, []).when(pay) as unknown as PromiseLike<void>
    await expect(Promise.resolve(forgotten)).rejects.toThrow(/say what comes of it/)
  })

  test('works the same for classes', async () => {
    const paid = Paid.create({ at, total: 5 })
    const act = (cart: Cart): void => cart.pay(at)
    await passes(given(Cart, items).when(act).then([paid]))
    await passes(
      given(Cart, [...items, paid])
        .when(act)
        .then(/paid already/),
    )
    const adding = given(Cart, [], { id: 'mine' }).when((cart) => cart.add(cart.id, 1))
    await passes(adding.then(item('mine')))
    expect.assertions(3)
  })
})
