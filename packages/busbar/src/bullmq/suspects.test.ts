import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { HandedOut } from './delivery.ts'
import type { Intake } from './intake.ts'
import { Suspects } from './suspects.ts'

/** The one thing asked of an intake: whether the job could be marked. */
function world(mark: (delivery: HandedOut) => Promise<boolean> = async () => true) {
  const intake = { markSuspect: mark } as Intake
  const handed: string[] = []
  const lost: string[] = []
  const suspects: Suspects = new Suspects(
    (_, delivery) => {
      // As the member does: what is not held any more is nobody's to hand out.
      if (delivery.state !== 'held') return
      delivery.state = 'out'
      handed.push(delivery.jobId)
    },
    (_, delivery) => {
      lost.push(delivery.jobId)
      end(delivery)
    },
  )
  const end = (delivery: HandedOut): void => {
    delivery.state = 'done'
    suspects.ended(delivery)
  }
  const add = (jobId: string): HandedOut => {
    const delivery = deliveryOf(jobId)
    suspects.add(intake, delivery)
    return delivery
  }
  return { suspects, handed, lost, end, add }
}

function deliveryOf(jobId: string): HandedOut {
  const counts = { attempts: 1, redeliveries: 0, crashes: 0, stalled: 1, cleared: 0, suspect: true }
  const owner = { began: async () => {} }
  const from = { owner, jobId, token: jobId, topic: 't', position: jobId, message: {}, unreadable: undefined, counts }
  return new HandedOut({ ...from, until: Infinity } as never)
}

describe('suspects', () => {
  test('are handed out one at a time', async () => {
    const { handed, add, end } = world()
    const first = add('1')
    add('2')
    await vi.waitFor(() => expect(handed).toEqual(['1']))
    end(first)
    await vi.waitFor(() => expect(handed).toEqual(['1', '2']))
  })

  test('whose locks were lost while they waited do not hold up those behind them', async () => {
    const { handed, add, end } = world()
    const first = add('1')
    const second = add('2')
    const third = add('3')
    const fourth = add('4')
    await vi.waitFor(() => expect(handed).toEqual(['1']))
    // What a frozen process finds when it goes on, while the verdict on the first is on its way.
    for (const lost of [second, third, first]) end(lost)
    await vi.waitFor(() => expect(handed).toEqual(['1', '4']), 5_000)
    expect(fourth.state).toBe('out')
  })

  test('that are lost while they are marked do not hold up those behind them', async () => {
    const marked = Promise.withResolvers<boolean>()
    const { handed, add, end } = world(({ jobId }) => (jobId === '1' ? marked.promise : Promise.resolve(true)))
    const first = add('1')
    const second = add('2')
    add('3')
    end(first)
    await vi.waitFor(() => expect(handed).toEqual(['2']))
    marked.reject(new Error('the connection broke'))
    await sleep(0)
    end(second)
    await vi.waitFor(() => expect(handed).toEqual(['2', '3']), 5_000)
  })

  test('that another member has by now are not handed out', async () => {
    const { handed, lost, add } = world(async ({ jobId }) => jobId !== '1')
    add('1')
    add('2')
    await vi.waitFor(() => expect(handed).toEqual(['2']))
    expect(lost).toEqual(['1'])
  })

  test('run alone only for a while: one that takes long lets the next one go', async () => {
    const { handed, add } = world()
    add('1')
    add('2')
    await vi.waitFor(() => expect(handed).toEqual(['1', '2']), 10_000)
  })
})
