import { describe, expect, test } from 'vitest'

import { MemoryBroker } from '../memory/index.ts'
import { keepingLogger, memoryBus } from './fixtures/bus.ts'
import { handClock } from './fixtures/clock.ts'
import { Ticked } from './fixtures/contracts.ts'
import { until } from './fixtures/waiting.ts'
import type { DeadLetterAlert } from './options.ts'

describe('the hook', () => {
  test('is told once a second of failures that are alike, with how many it was not told of, and never of payloads', async () => {
    const clock = handClock()
    const alerts: DeadLetterAlert[] = []
    await using bus = await memoryBus(
      { clock, onDeadLetter: (alert) => void alerts.push(alert) },
      new MemoryBroker({ clock }),
    )
    await bus.subscribe(
      Ticked,
      ({ data }) => {
        throw data.n === 99 ? new TypeError('other') : new Error('usual password=hunter2')
      },
      { group: 'g' },
    )
    const publish = async (numbers: number[]): Promise<void> => {
      await bus.publish(numbers.map((n) => Ticked.create({ n })))
      await bus.idle()
    }
    await publish([4711, 4712, 4713, 99])
    expect(alerts.map(({ error, suppressed }) => [error.name, suppressed])).toEqual([
      ['Error', 0],
      ['TypeError', 0],
    ])
    await clock.advance(999)
    await publish([4714])
    expect(alerts).toHaveLength(2)
    await clock.advance(1)
    await publish([4715])
    expect(alerts[2]).toMatchObject({
      group: 'g',
      handler: 'Ticked',
      type: 'Ticked',
      reason: 'failed',
      attempts: 1,
      suppressed: 3,
      error: { name: 'Error', message: 'usual password=***' },
    })
    expect(JSON.stringify(alerts)).not.toMatch(/471\d|hunter2/)
  })

  test('one that throws, at once or later, does no harm', async () => {
    for (const onDeadLetter of [
      () => {
        throw new Error('pager is down')
      },
      () => Promise.reject(new Error('pager is down')),
    ]) {
      const logger = keepingLogger()
      await using bus = await memoryBus({ logger, onDeadLetter })
      await bus.subscribe(Ticked, () => Promise.reject(new Error('no')))
      await bus.publish(Ticked.create({ n: 1 }))
      await bus.idle()
      expect(await bus.deadLetters.count()).toBe(1)
      await until(() => logger.lines.some(({ text }) => text.includes('hook threw')), 'the log to tell of it')
    }
  })
})
