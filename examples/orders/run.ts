/** The whole story: orders are worked through, read, compared, looked back at, a customer is forgotten, models are built anew. */
import { type Compared, compare } from './compare.ts'
import { openPlace } from './database.ts'
import { expectedOf } from './expected.ts'
import { clearAddresses, forgetSomebody, tracesOf } from './forget.ts'
import { deliverAgain, waitForParcels } from './parcels.ts'
import { planOf } from './plan.ts'
import { rebuildAll } from './rebuild.ts'
import { Shop } from './shop.ts'
import { countSnapshots, statesOf } from './travel.ts'
import { placeOldOrders, workThrough } from './work.ts'

export interface RunOptions {
  readonly orders: number
  readonly seed: number
  readonly database?: string | undefined
  readonly broker?: string | undefined
  /** For people, a line at a time. */
  readonly say: (line: string) => void
}

export interface Result extends Compared {
  /** The models say after a rebuild what they said before. */
  readonly rebuilt: boolean
  /** Customers that were forgotten, and of whom no address is left. */
  readonly forgotten: number
  readonly seconds: number
}

/** Parcels whose event is delivered a second time. */
const AGAIN = 20
/** Milliseconds; a machine under load is slow, not wrong. */
const PATIENCE = 60_000

export async function run({ orders, seed, database, broker, say }: RunOptions): Promise<Result> {
  const plan = planOf(orders, seed)
  const expected = expectedOf(plan)
  const began = performance.now()
  const place = await openPlace(database)
  try {
    const shop = await Shop.open(place, broker)
    try {
      say(`${orders} orders of seed ${seed}, in ${place.title}`)
      return await story(shop, { plan, expected, say, began })
    } finally {
      await shop.close()
    }
  } finally {
    await place.close()
  }
}

interface Story {
  readonly plan: ReturnType<typeof planOf>
  readonly expected: ReturnType<typeof expectedOf>
  readonly say: (line: string) => void
  readonly began: number
}

async function story(shop: Shop, { plan, expected, say, began }: Story): Promise<Result> {
  const differences: string[] = []
  const old = await placeOldOrders(shop, plan)
  say(`placed     ${old} orders by the first release, whose events are of version 1`)
  await shop.openDoors()
  const refused = await workThrough(shop, plan)
  say(`worked     ${expected.events - old} more events appended, ${refused} commands refused by the rules`)
  if (refused !== expected.refused) differences.push(`refused: ${refused}, and it should be ${expected.refused}`)

  await waitForParcels(shop, expected.shipped.size)
  const again = await deliverAgain(shop, AGAIN)
  say(`delivered  ${again} events a second time, as a killed relay does`)
  await shop.projections.caughtUp('revenue', { timeout: PATIENCE })
  const first = await compare(shop, expected)
  say(`models     ${first.orders} orders, ${euros(first.revenue)} of revenue, ${first.parcels} parcels`)

  const states = await statesOf(shop, 'o1')
  const snapshots = await countSnapshots(shop)
  say(`time       order o1 was ${states.join(', then ')}; ${snapshots} orders have a snapshot`)
  if (snapshots === 0) differences.push('no order has a snapshot')
  if (states.join() !== 'placed,paid,shipped') differences.push(`order o1 was ${states.join(', then ')}`)

  differences.push(...(await clearAddresses(shop)))
  const forgetting = await forgetSomebody(shop, plan)
  const rebuilt = await rebuildAll(shop)
  say(`rebuilt    both read models beside the live ones: ${rebuilt ? 'they say the same' : 'THEY DIFFER'}`)
  if (!rebuilt) differences.push('the read models say something else after the rebuild')
  const traces = forgetting === undefined ? ['nobody could be forgotten'] : await tracesOf(shop, forgetting)
  differences.push(...traces)
  if (forgetting !== undefined) {
    const { customerId, orders } = forgetting
    say(
      `forgot     customer ${customerId}: ${orders.length} orders stay, ${traces.length === 0 ? 'no' : 'AN'} address is left`,
    )
  }

  const last = await compare(shop, expected)
  return {
    ...last,
    differences: [...new Set([...first.differences, ...differences, ...last.differences])],
    rebuilt,
    forgotten: forgetting !== undefined && traces.length === 0 ? 1 : 0,
    seconds: Math.round((performance.now() - began) / 100) / 10,
  }
}

function euros(cents: number): string {
  return `${(cents / 100).toFixed(2)} €`
}
