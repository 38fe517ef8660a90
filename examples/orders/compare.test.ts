/** What the closing line counts: each kind of difference is found where it is made on purpose. */
import { afterEach, beforeEach, expect, test } from 'vitest'

import { compare } from './compare.ts'
import { openPlace, type Place } from './database.ts'
import { expectedOf } from './expected.ts'
import { forgetSomebody, tracesOf } from './forget.ts'
import { deliverAgain, waitForParcels } from './parcels.ts'
import { planOf } from './plan.ts'
import { rebuildAll } from './rebuild.ts'
import { Shop } from './shop.ts'
import { placeOldOrders, workThrough } from './work.ts'

const plan = planOf(30, 3)
const expected = expectedOf(plan)
let place: Place
let shop: Shop

beforeEach(async () => {
  place = await openPlace(undefined)
  shop = await Shop.open(place)
  await placeOldOrders(shop, plan)
  await shop.openDoors()
  await workThrough(shop, plan)
  await waitForParcels(shop, expected.shipped.size)
  await shop.projections.caughtUp('revenue', { timeout: 60_000 })
})
afterEach(async () => {
  await shop.close()
  await place.close()
})

async function change(sql: string): Promise<void> {
  await place.database.transaction((tx) => tx.execute(sql))
}

test('nothing differs at first; a parcel that is sent twice or not at all, and money that is not right, do', async () => {
  expect((await compare(shop, expected)).differences).toEqual([])

  const [one, other] = [...expected.shipped]
  await change(`INSERT INTO parcels SELECT * FROM parcels WHERE order_id = '${one}'`)
  await change(`DELETE FROM parcels WHERE order_id = '${other}'`)
  await change(`INSERT INTO parcels VALUES ('nobody', 'c1')`)
  const parcels = await compare(shop, expected)
  expect(parcels).toMatchObject({ duplicates: 2, missing: 1 })
  expect(parcels.differences).not.toEqual([])

  const { live } = await shop.projections.status('revenue')
  await change(`UPDATE revenue__b${live?.build} SET cents = cents + 1 WHERE rowid = 1`)
  expect((await compare(shop, expected)).differences.join('\n')).toMatch(/revenue of 2026-\d\d-\d\d c\d+: \d+, and/)
})

test('an event that comes twice sends one parcel; without the inbox it would be two, and they are counted', async () => {
  expect(await deliverAgain(shop, 5)).toBe(5)
  expect((await compare(shop, expected)).duplicates).toBe(0)

  await change('DELETE FROM busbar_inbox')
  expect(await deliverAgain(shop, 5)).toBe(5)
  expect((await compare(shop, expected)).duplicates).toBe(5)
})

test('an address stays in a read model until that is built anew, and is found there', async () => {
  const forgetting = await forgetSomebody(shop, plan)
  if (forgetting === undefined) throw new Error('nobody was forgotten')
  expect(await tracesOf(shop, forgetting)).toContain('the read model has the address in o1')
  expect(await rebuildAll(shop)).toBe(true)
  expect(await tracesOf(shop, forgetting)).toEqual([])
})
