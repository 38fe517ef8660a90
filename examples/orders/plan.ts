/** What customers will do, made up from a seed: the same seed gives the same orders. */
import { type Line, totalOf } from './contracts.ts'
import { Random } from './random.ts'

/** One thing that is asked of an order. */
export interface Step {
  readonly what: 'pay' | 'ship' | 'cancel'
  readonly at: Date
  /** The rules do not allow it. */
  readonly refused: boolean
}

export interface PlannedOrder {
  readonly orderId: string
  readonly customerId: string
  readonly email: string
  readonly lines: readonly Line[]
  readonly total: number
  readonly at: Date
  /** Placed by the first release, whose orders had one line. */
  readonly legacy: boolean
  readonly steps: readonly Step[]
}

/** And its price. */
type Product = readonly [sku: string, cents: number]

const CATALOGUE: readonly [Product, ...Product[]] = [
  ['pen', 250],
  ['ink', 790],
  ['paper', 1_295],
  ['desk', 34_900],
  ['lamp', 5_950],
]
const FIRST_DAY = Date.UTC(2026, 0, 1)
const DAYS = 14
const HOUR = 3_600_000

/** What becomes of an order; written once for each part of ten that it is. */
const FATES = [
  ...(['shipped', 'shipped', 'shipped', 'shipped', 'shipped', 'shipped'] as const),
  ...(['placed', 'paid', 'cancelled', 'refunded'] as const),
] as const satisfies readonly [string, ...string[]]

const STEPS: Readonly<Record<(typeof FATES)[number], readonly Step['what'][]>> = {
  placed: [],
  paid: ['pay'],
  shipped: ['pay', 'ship'],
  cancelled: ['cancel'],
  refunded: ['pay', 'cancel'],
}
/** What somebody tries all the same. */
const WRONG: Readonly<Record<(typeof FATES)[number], Step['what']>> = {
  placed: 'ship',
  paid: 'pay',
  shipped: 'cancel',
  cancelled: 'pay',
  refunded: 'ship',
}

export function planOf(orders: number, seed: number): readonly PlannedOrder[] {
  const random = new Random(seed)
  const customers = Math.max(2, Math.ceil(orders / 10))
  return Array.from({ length: orders }, (_, index) => {
    const customer = random.below(customers)
    const legacy = random.below(10) === 0
    const lines = Array.from({ length: legacy ? 1 : 1 + random.below(3) }, (): Line => {
      const [sku, price] = random.of(CATALOGUE)
      return { sku, price, quantity: 1 + random.below(4) }
    })
    // The first order has a whole life, whatever the seed: time travel needs one.
    const fate = index === 0 ? 'shipped' : random.of(FATES)
    let time = FIRST_DAY + random.below(DAYS * 24) * HOUR
    const at = new Date(time)
    const later = (): Date => new Date((time += (1 + random.below(36)) * HOUR))
    const steps = STEPS[fate].map((what): Step => ({ what, at: later(), refused: false }))
    if (random.below(8) === 0) steps.push({ what: WRONG[fate], at: later(), refused: true })
    const customerId = `c${customer + 1}`
    const email = `customer.${customer + 1}@example.com`
    return { orderId: `o${index + 1}`, customerId, email, lines, total: totalOf(lines), at, legacy, steps }
  })
}
