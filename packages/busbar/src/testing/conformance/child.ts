/**
 * A process that makes a target's broker and does as its parent says (see `script.ts`): the other end of `ChildProcess`.
 * Ends by itself when its parent is gone.
 */
import { existsSync } from 'node:fs'
import type { Broker, BrokerSubscription, Delivery, Failure, Verdict } from '../../broker/index.ts'
import { EventBus } from '../../bus/index.ts'
import type { Subscription } from '../../bus/index.ts'
import { message } from '../suite/messages.ts'
import { die, serve, tell as tellParent } from '../suite/serve.ts'
import type { Command, Report, Rule, Said, Step } from './script.ts'
import type { TargetModule } from './target.ts'
import { Gate, sleep } from '../suite/waiting.ts'

const members = new Map<string, { stop(deadline: number | undefined): Promise<void> }>()
const counts = new Map<string, number>()
const hold = new Gate()
let broker: Broker | undefined
let bus: EventBus | undefined

serve(obey)

function obey(command: Command): unknown {
  switch (command.do) {
    case 'start':
      return start(command)
    case 'subscribe':
      return subscribe(command)
    case 'handle':
      return handle(command)
    case 'unsubscribe':
      return members.get(command.member)?.stop(command.deadline)
    case 'publish':
      return theBroker().publish(command.batch)
    case 'publishOn':
      for (let lane = 0; lane < command.lanes; lane++) void publishOn(command.topic, `lane${lane}`)
      return undefined
    case 'open':
      return hold.open()
    case 'count':
      return counts.get(command.member) ?? 0
    case 'stop':
      return stop(command.deadline)
    default:
      return command satisfies never
  }
}

async function start({ module, options }: Extract<Command, { do: 'start' }>): Promise<void> {
  const target = (await import(module)) as TargetModule
  broker = await target.createBroker(options)
  await broker.start()
}

async function subscribe({ member, spec, rules, quiet }: Extract<Command, { do: 'subscribe' }>): Promise<void> {
  const deliver = (delivery: Delivery): Verdict | Promise<Verdict> => {
    counts.set(member, (counts.get(member) ?? 0) + 1)
    const rule = rules.find((one) => matches(one, delivery, delivery.attempts))
    return quiet ? follow(rule, delivery) : reported(member, delivery, rule)
  }
  const subscription: BrokerSubscription = await theBroker().subscribe(spec, deliver)
  members.set(member, { stop: (deadline) => subscription.stop(deadline === undefined ? undefined : { deadline }) })
}

async function reported(member: string, delivery: Delivery, rule: Rule | undefined): Promise<Verdict> {
  delivery.signal.addEventListener('abort', () => void report('aborted', member, delivery))
  await report('began', member, delivery)
  if (rule?.began !== undefined) {
    await delivery.began(rule.began)
    await report('retrying', member, delivery)
  }
  const verdict = await follow(rule, delivery)
  await report('ended', member, delivery)
  return verdict
}

function report(what: Report['what'], member: string, delivery: Delivery): Promise<void> {
  const { attempts, redeliveries, crashes } = delivery
  const { id, key, body } = delivery.message
  const text = typeof body === 'string' ? body.slice(0, 100) : ''
  return tell({
    report: { what, member, id, key, body: text, attempts, redeliveries, crashes, at: machineTime(), pid: process.pid },
  })
}

function follow(rule: Rule | undefined, delivery: Delivery): Verdict | Promise<Verdict> {
  if (rule === undefined) return { ack: true }
  if (rule.slow !== undefined) return sleep(rule.slow).then(() => step(rule.act, delivery))
  return step(rule.act, delivery)
}

function step(act: Step, delivery: Delivery): Verdict | Promise<Verdict> {
  switch (act.do) {
    case 'ack':
      return { ack: true }
    case 'hold':
      return hold.opened.then(() => ({ ack: true }))
    case 'kill':
      return die()
    case 'block':
      while (!existsSync(act.until)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
      return act.verdict === 'ack' ? { ack: true } : { deadLetter: failure(delivery) }
    case 'redeliver': {
      const firstFailedAt = delivery.firstFailedAt ?? Date.now()
      return { redeliver: { after: act.after, attempts: delivery.attempts + 1, firstFailedAt } }
    }
    case 'deadLetter':
      return { deadLetter: failure(delivery) }
    case 'release':
      return { release: true }
    case 'throw':
      throw new Error('the script says so')
    default:
      return act satisfies never
  }
}

function failure(delivery: Delivery): Failure {
  const now = Date.now()
  const error = { name: 'Error', message: 'the script says so' }
  const firstFailedAt = delivery.firstFailedAt ?? now
  return {
    reason: 'failed',
    error,
    handler: 'script',
    attempts: delivery.attempts + 1,
    firstFailedAt,
    lastFailedAt: now,
  }
}

/** Subscribes a handler on a bus over the broker. */
async function handle({ member, topic, options, retry, rules }: Extract<Command, { do: 'handle' }>): Promise<void> {
  bus ??= await startedBus(topic)
  const handler = async (
    body: { readonly id: string; readonly key?: string | undefined; readonly data: unknown },
    context: {
      readonly attempt: number
    },
  ): Promise<void> => {
    const text = JSON.stringify(body.data)
    const attempts = context.attempt - 1
    const seen = {
      id: body.id,
      key: body.key,
      body: text,
      attempts,
      redeliveries: 0,
      crashes: 0,
      pid: process.pid,
      member,
    }
    const seenMessage = { message: { id: body.id, key: body.key, body: text } }
    const rule = rules.find((one) => matches(one, seenMessage, attempts))
    await tell({ report: { ...seen, what: 'began', at: machineTime() } })
    if (rule?.slow !== undefined) await sleep(rule.slow)
    if (rule?.act.do === 'throw') throw new Error('the script says so')
    if (rule?.act.do === 'kill') await die()
    if (rule?.act.do === 'hold') await hold.opened
    await tell({ report: { ...seen, what: 'ended', at: machineTime() } })
  }
  const subscription: Subscription = await bus.subscribe('*', handler, { ...options, topic, retry })
  members.set(member, {
    stop: (deadline) => subscription.unsubscribe(deadline === undefined ? undefined : { deadline }),
  })
}

async function startedBus(topic: string): Promise<EventBus> {
  const made = new EventBus(theBroker(), { source: 'conformance', topics: { event: topic } })
  await made.start()
  return made
}

async function publishOn(topic: string, key: string): Promise<void> {
  for (let n = 0; ; n++) {
    const one = message({ key, body: String(n) })
    await theBroker().publish([{ topic, message: one }])
    await tell({ confirmed: one.id })
  }
}

async function stop(deadline: number | undefined): Promise<void> {
  const options = deadline === undefined ? undefined : { deadline }
  await bus?.stop(options)
  await broker?.stop(options)
}

function matches(
  { when, attemptsBelow }: Rule,
  { message: { id, key, body } }: { message: { id: string; key?: string | undefined; body: unknown } },
  attempts: number,
): boolean {
  if (attemptsBelow !== undefined && attempts >= attemptsBelow) return false
  if (when?.ids !== undefined && !when.ids.includes(id)) return false
  if (when?.key !== undefined && when.key !== key) return false
  return when?.body === undefined || when.body === body
}

function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function theBroker(): Broker {
  if (broker === undefined) throw new Error('start comes first')
  return broker
}

function tell(said: Said): Promise<void> {
  return tellParent(said)
}
