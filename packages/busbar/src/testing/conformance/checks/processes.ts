import assert from 'node:assert/strict'
import type { Check } from '../check.ts'
import type { ChildProcess } from '../child-process.ts'
import type { CheckContext } from '../context.ts'
import { message, numbered } from '../../suite/messages.ts'
import type { Report, Rule } from '../script.ts'

/** Several processes with a bus each that share one group. */
export const processChecks: readonly Check[] = [
  {
    name: 'order by key holds across three processes while messages are retried',
    needs: (c) => c.multiProcess && c.order === 'key' && c.groups,
    heavy: true,
    async run(ctx) {
      const failing: Rule = { when: { key: 'k3' }, attemptsBelow: 1, act: { do: 'throw' } }
      const [broker, ...children] = await Promise.all([ctx.broker(), ctx.child(), ctx.child(), ctx.child()])
      await Promise.all(children.map((child) => join(ctx, child, [failing, pace])))
      const sent = numbered(ctx.topic, 300, KEYS)
      for (let n = 0; n < 300; n += 50) await broker.publish(sent.slice(n, n + 50))
      await handled(ctx, children, 300)
      assertOneLine(children, 300)
    },
  },
  {
    name: 'order by key holds while processes join and leave',
    needs: (c) => c.multiProcess && c.order === 'key' && c.groups,
    heavy: true,
    async run(ctx) {
      const [broker, early, late] = await Promise.all([ctx.broker(), ctx.child(), ctx.child()])
      const children = [early, late]
      await join(ctx, early)
      await broker.publish(numbered(ctx.topic, 150, KEYS))
      await handled(ctx, children, 20)
      await join(ctx, late)
      await broker.publish(numbered(ctx.topic, 150, KEYS, 150))
      await ctx.eventually(async () => {
        if (late.of('ended').length > 0) return true
        return early.of('ended').length >= 300
      }, 'the second process to get its share')
      await broker.publish(numbered(ctx.topic, 150, KEYS, 300))
      await early.unsubscribe()
      await broker.publish(numbered(ctx.topic, 50, KEYS, 450))
      await handled(ctx, children, 500)
      assertOneLine(children, 500)
      assert.ok(late.of('ended').length > 0)
    },
  },
  {
    name: 'order by key holds when a process is killed: what it had unsettled comes first, then the rest',
    needs: (c) => c.multiProcess && c.order === 'key' && c.groups && c.durable,
    heavy: true,
    async run(ctx) {
      const { lease } = ctx.options
      const options = { lease }
      const [broker, ...children] = await Promise.all([ctx.broker(options), ctx.child(options), ctx.child(options)])
      await Promise.all(children.map((child) => join(ctx, child)))
      await broker.publish(numbered(ctx.topic, 400, KEYS))
      await handled(ctx, children, 60)
      await children[0]?.kill()
      await broker.publish(numbered(ctx.topic, 100, KEYS, 400))
      await handled(ctx, children, 500)
      assertOneLine(children, 500, children[0])
    },
  },
  {
    name: 'a message that kills its process ends in the dead letters, and the messages around it are handled',
    needs: (c) => c.multiProcess && c.durable && c.groups && c.countsCrashes && c.deadLetters,
    heavy: true,
    async run(ctx) {
      const lease = ctx.options.lease / 2
      const broker = await ctx.broker({ lease })
      // The group has to be there before the messages are.
      await (await ctx.collect(broker)).stop()
      const fatal = message({ key: 'fatal', body: '-1' })
      await broker.publish([...numbered(ctx.topic, 10, 5), ...ctx.batch(fatal), ...numbered(ctx.topic, 10, 5, 10)])
      const children: ChildProcess[] = []
      const dead = (): Promise<number> => broker.deadLetters.count({ group: ctx.group, reason: 'crashed' })
      for (let life = 0; life < 8 && (await dead()) === 0; life++) {
        const child = await ctx.child({ lease })
        children.push(child)
        await join(ctx, child, [{ when: { ids: [fatal.id] }, act: { do: 'kill' } }]).catch(() => undefined)
        await ctx.eventually(async () => !child.running || (await dead()) > 0, 'the process to die, or the dead letter')
      }
      const deaths = children.filter((child) => child.of('began', fatal.id).length > 0).length
      const [letter] = await broker.deadLetters.list({ group: ctx.group })
      assert.equal(letter?.message.id, fatal.id, `no dead letter after ${children.length} processes`)
      assert.equal(letter?.failure.reason, 'crashed')
      assert.ok(deaths >= 2 && deaths <= 5, `${deaths} processes died of it`)
      assert.ok((letter?.failure.attempts ?? 0) >= deaths, `${letter?.failure.attempts} attempts told, ${deaths} seen`)
      await handled(ctx, children, 20)
    },
  },
]

/** Keys of the messages, so numbers of one key are this far apart. */
const KEYS = 10

const pace: Rule = { slow: 1, act: { do: 'ack' } }

/** Subscribes with quick retries; two workers, so that keys run beside each other in one process too. */
function join(ctx: CheckContext, child: ChildProcess, rules: readonly Rule[] = [{ ...pace, slow: 3 }]): Promise<void> {
  const options = { group: ctx.group, concurrency: 3, prefetch: 10 }
  return child.handle(ctx.topic, options, rules, { retries: 3, minDelay: 10, maxDelay: 20 })
}

/** Waits until that many different messages have been handled by all processes together. */
function handled(ctx: CheckContext, children: readonly ChildProcess[], count: number): Promise<void> {
  const ids = (): number => new Set(children.flatMap((child) => child.of('ended').map(({ id }) => id))).size
  return ctx.eventually(
    () => ids() >= count,
    () => `${count} messages to be handled; ${ids()} were`,
  )
}

/**
 * Fails unless each key was handled as one line over all processes: one at a time, none before the one in front of it
 * was done. Only what a killed process may have left unsettled may be handled again.
 */
function assertOneLine(children: readonly ChildProcess[], count: number, killed?: ChildProcess): void {
  const runs = children.flatMap((child) => runsOf(child)).toSorted((a, b) => a.began - b.began)
  const turn = new Map<string, number>()
  const done = new Map<number, Run>()
  const last = new Map<string, Run>()
  for (const run of runs) {
    const { key, n } = run
    const before = last.get(key)
    // A process that was killed in a run never told its end.
    assert.ok(
      before === undefined || (before.ended ?? 0) <= run.began,
      `key ${key}: ${n} began in process ${run.pid} before ${before?.n} had ended in process ${before?.pid}`,
    )
    last.set(key, run)
    const earlier = done.get(n)
    if (earlier !== undefined) {
      const excused = killed !== undefined && earlier.pid === killed.pid && run.pid !== killed.pid
      assert.ok(excused, `key ${key}: ${n} was handled twice`)
      continue
    }
    const expected = turn.get(key) ?? first(key)
    assert.equal(n, expected, `key ${key}: ${n} came when it was the turn of ${expected}`)
    if (run.ended === undefined) continue
    done.set(n, run)
    turn.set(key, n + KEYS)
  }
  assert.equal(done.size, count)
}

/** `numbered` gives the keys in turn, so the first number of a key is in its name. */
function first(key: string): number {
  return Number(key.slice(1))
}

interface Run {
  readonly key: string
  readonly n: number
  readonly pid: number
  readonly began: number
  /** Absent where it threw or was killed. */
  readonly ended: number | undefined
}

/** Reports of one process as runs: each beginning with the end that follows it. */
function runsOf(child: ChildProcess): Run[] {
  const runs: Run[] = []
  for (const [index, report] of child.reports.entries()) {
    if (report.what !== 'began') continue
    const end = child.reports.slice(index + 1).find(({ id }) => id === report.id)
    runs.push({ ...runOf(report), ended: end?.what === 'ended' ? end.at : undefined })
  }
  return runs
}

function runOf({ key, body, pid, at }: Report): Omit<Run, 'ended'> {
  return { key: key ?? '', n: Number(body), pid, began: at }
}
