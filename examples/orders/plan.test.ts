import { expect, test } from 'vitest'

import { expectedOf } from './expected.ts'
import { planOf } from './plan.ts'

test('the same seed plans the same orders, another one others', () => {
  expect(planOf(200, 7)).toEqual(planOf(200, 7))
  expect(planOf(200, 7)).not.toEqual(planOf(200, 8))
})

test('a plan has orders of every fate, of both releases, and attempts that the rules refuse', () => {
  const plan = planOf(200, 1)
  const lives = new Set(plan.map(({ steps }) => steps.map(({ what, refused }) => (refused ? `!${what}` : what)).join()))
  for (const life of ['', 'pay', 'pay,ship', 'cancel', 'pay,cancel', 'pay,ship,!cancel']) expect(lives).toContain(life)
  expect(plan.filter(({ legacy }) => legacy).length).toBeGreaterThan(5)
  for (const { legacy, lines } of plan) if (legacy) expect(lines).toHaveLength(1)
})

test('what is expected of a plan: money given back is taken off on the day of that', () => {
  const at = (day: string): Date => new Date(`2026-01-${day}T12:00:00Z`)
  const order = { customerId: 'c1', email: 'a@example.com', lines: [], total: 500, at: at('01'), legacy: false }
  const { orders, revenue, events, refused, shipped } = expectedOf([
    {
      ...order,
      orderId: 'o1',
      steps: [
        { what: 'pay', at: at('02'), refused: false },
        { what: 'cancel', at: at('03'), refused: false },
        { what: 'ship', at: at('04'), refused: true },
      ],
    },
    { ...order, orderId: 'o2', steps: [{ what: 'cancel', at: at('02'), refused: false }] },
  ])
  expect([...orders]).toEqual(['o1 c1 cancelled 500', 'o2 c1 cancelled 500'])
  expect([...revenue]).toEqual([
    ['2026-01-02 c1', 500],
    ['2026-01-03 c1', -500],
  ])
  expect({ events, refused, shipped: shipped.size }).toEqual({ events: 5, refused: 1, shipped: 0 })
})
