import assert from 'node:assert/strict'
import type { Appended, EventStorage } from '../../../store/index.ts'
import { assertEachOnce } from '../../suite/messages.ts'
import type { StorageCheck } from '../check.ts'
import {
  all,
  append,
  assertOrdered,
  assertStreamsWhole,
  event,
  events,
  idsOf,
  revisionsOf,
  to,
  upTo,
} from '../events.ts'

/** Writers at the same time: of each revision there is one winner. */
export const raceChecks: readonly StorageCheck[] = [
  {
    name: 'of twenty appends at once that expect the same revision exactly one is taken, and the others are told so',
    async run(ctx) {
      const storage = await ctx.storage()
      await append(storage, 'order-1', 3)
      const given = Array.from({ length: 20 }, () => [event()])
      const outcomes = await Promise.allSettled(given.map((one) => append(storage, 'order-1', one, 2)))
      assertOneWon(outcomes, 3)
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1'))), [0, 1, 2, 3])
    },
  },
  {
    name: 'of twenty appends at once that begin a stream exactly one does',
    async run(ctx) {
      const storage = await ctx.storage()
      const outcomes = await Promise.allSettled(upTo(20).map(() => append(storage, 'order-1', 2, 'none')))
      assertOneWon(outcomes, 1)
      assert.equal((await storage.head()).count, 2)
    },
  },
  {
    name: 'writers of one process that try again win each revision once, without gaps',
    async run(ctx) {
      const storage = await ctx.storage()
      const won = await Promise.all(upTo(5).map(() => compete(storage, 'order-1', 100)))
      assert.deepEqual(
        won.flat().toSorted((a, b) => a - b),
        upTo(100),
      )
      assert.deepEqual(revisionsOf(await all(storage.readStream('order-1'))), upTo(100))
    },
  },
  {
    name: 'fifty appends at once that expect nothing are all taken, with revisions without gaps',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = Array.from({ length: 50 }, () => events(2))
      const answers = await Promise.all(given.map((one) => append(storage, 'order-1', one)))
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(stored), upTo(100))
      assertOrdered(stored)
      for (const [index, { revision }] of answers.entries()) {
        assert.deepEqual(
          idsOf(stored.slice(revision - 1, revision + 1)),
          idsOf(given[index] ?? []),
          'an append was torn apart',
        )
      }
    },
  },
  {
    name: 'two hundred appends at once to different streams are all taken',
    async run(ctx) {
      const storage = await ctx.storage()
      const given = upTo(200).map((n) => to(`order-${n}`, 1, 'none'))
      const answers = await Promise.all(given.map((one) => storage.append([one])))
      assert.ok(answers.every(([one]) => one?.revision === 0))
      const stored = await all(storage.readAll())
      assertOrdered(stored)
      assertEachOnce(idsOf(stored), idsOf(given.flatMap((one) => one.events)))
      assert.equal(new Set(answers.map(([one]) => one?.position)).size, 200, 'a position was given twice')
    },
  },
  {
    name: 'several streams appended crosswise at once neither wait for each other for ever nor tear',
    async run(ctx) {
      const storage = await ctx.storage()
      await storage.append([to('left', 1), to('right', 1)])
      const rounds = upTo(40).map((n) => (n % 2 === 0 ? ['left', 'right'] : ['right', 'left']))
      const answers = await ctx.within(
        Promise.all(rounds.map((streams) => storage.append(streams.map((stream) => to(stream, 1))))),
        'crosswise appends to end',
      )
      for (const [one, other] of answers)
        assert.equal(one?.revision, other?.revision, 'only one of two streams went on')
      const stored = await all(storage.readAll())
      assertOrdered(stored)
      assertStreamsWhole(stored)
      assert.equal(stored.length, 82)
    },
  },
  {
    name: 'two processes that append at the same revision: each revision is won by exactly one of them',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const [storage, ...children] = await Promise.all([ctx.storage(), ctx.child(), ctx.child()])
      const won = await Promise.all(children.map((child) => child.compete('order-1', 200)))
      assert.deepEqual(
        won.flat().toSorted((a, b) => a - b),
        upTo(200),
      )
      const stored = await all(storage.readStream('order-1'))
      assert.deepEqual(revisionsOf(stored), upTo(200))
      assertOrdered(stored)
    },
  },
  {
    name: 'three storages and two processes that append to many streams: every stream whole, every event once',
    needs: (c) => c.multiProcess,
    heavy: true,
    async run(ctx) {
      const storages = await Promise.all([ctx.storage(), ctx.storage(), ctx.storage()])
      const children = await Promise.all([ctx.child(), ctx.child()])
      await Promise.all(children.map((child, n) => child.appendOn([`child-${n}`, 'shared-1'], 3)))
      const own = upTo(40).flatMap((n) => storages.map((storage) => ({ storage, given: to(`own-${n % 7}`, 2) })))
      await Promise.all(own.map(({ storage, given }) => storage.append([given, to('shared-1', 1)])))
      await Promise.all(children.map((child) => child.confirmedAtLeast(20)))
      await Promise.all(children.map((child) => child.kill()))
      const [storage] = storages
      assert.ok(storage !== undefined)
      const stored = await all(storage.readAll())
      assertOrdered(stored)
      assertStreamsWhole(stored)
      const ids = idsOf(stored)
      assert.equal(new Set(ids).size, ids.length, 'an event is there twice')
      const confirmed = children.flatMap((child) => child.confirmed.flat()).flatMap((one) => one.events)
      const known = new Set(ids)
      for (const id of idsOf([...confirmed, ...own.flatMap(({ given }) => given.events)]))
        assert.ok(known.has(id), `${id} is lost`)
    },
  },
]

function assertOneWon(outcomes: readonly PromiseSettledResult<Appended>[], revision: number): void {
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
  assert.deepEqual(
    won.map(({ value }) => [value.revision, value.repeated]),
    [[revision, false]],
  )
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected')
      assert.equal((outcome.reason as Error).name, 'ConcurrencyError', String(outcome.reason))
  }
}

/** Appends at the revision after the last, and tries again, until the stream has so many events. Returns what it won. */
async function compete(storage: EventStorage, stream: string, count: number): Promise<number[]> {
  const won: number[] = []
  for (let last = (await storage.info(stream)).revision; last < count - 1;) {
    try {
      last = (await append(storage, stream, 1, last === -1 ? 'none' : last)).revision
      won.push(last)
    } catch (error) {
      if ((error as Error).name !== 'ConcurrencyError') throw error
      last = (await storage.info(stream)).revision
    }
  }
  return won
}
