import type { Capabilities, Delivery, Failure, FailureReason, Verdict } from '../broker/index.ts'
import type { Codec } from '../message/codec.ts'
import { KeysUnavailableError, type Privacy } from '../message/personal.ts'
import type { ContractRegistry } from '../message/contracts.ts'
import { BusbarError, DecodeError } from '../message/errors.ts'
import { open } from '../message/inbound.ts'
import type { Message } from '../message/message.ts'
import { handledAs } from './ambient.ts'
import { type Clock, wait } from './clock.ts'
import type { Counters } from './counters.ts'
import { composeConsume, type Middleware, withMessage } from './middleware.ts'
import { summarize } from './redact.ts'
import { expired } from './requests.ts'
import { backoff, type RetryPolicy } from './retry-policy.ts'
import type { Route, Routes } from './routes.ts'
import { FILTERED, HANDLED, type Outcome, type Publishing, Run, SKIPPED } from './run.ts'
import type { Turn } from './turn.ts'
import { validated } from './validated.ts'

const ACK: Verdict = { ack: true }
const RELEASE: Verdict = { release: true }

/** A run's process died so often that it is not tried again. */
export class CrashLoopError extends BusbarError {
  override readonly name: string = 'CrashLoopError'
}

export interface HandlingOptions {
  readonly group: string
  readonly routes: Routes
  readonly registry: ContractRegistry
  readonly codec: Codec
  readonly privacy: Privacy | undefined
  readonly policy: RetryPolicy
  readonly capabilities: Capabilities
  readonly middleware: readonly Middleware[]
  readonly clock: Clock
  readonly counters: Counters
  readonly bus: Publishing
  /** Answers a query. Resolves when the answer is confirmed. */
  readonly reply: (query: Message, outcome: { data: unknown } | { error: unknown }) => Promise<void>
  /** Told of each dead letter; may store it elsewhere and turn the verdict into an ack. */
  readonly onDeadLetter: (delivery: Delivery, failure: Failure) => Verdict | Promise<Verdict>
}

/**
 * Takes one delivery to its verdict: open, middleware, handler, and what follows a failure (retry here, redelivery by the
 * broker, dead letter). Never throws and never rejects. Synchronous as long as everything in it is.
 */
export class Handling {
  private readonly options: HandlingOptions
  private around: ((incoming: Run) => Promise<unknown>) | undefined
  private readonly stopping = new AbortController()

  constructor(options: HandlingOptions) {
    this.options = options
    this.compose()
  }

  /** Takes up middleware that was added since. */
  compose(): void {
    this.around = composeConsume<Run>(this.options.middleware, (run) => this.innermost(run))
  }

  /** Ends waits between retries: the messages are released, with their attempts. */
  stop(): void {
    this.stopping.abort()
  }

  /** Settles the turn, sooner or later. */
  handle(turn: Turn): void {
    const { delivery } = turn
    const { routes, counters, policy, registry, codec, privacy } = this.options
    const { type } = delivery.message
    const route = routes.find(type)
    // Middleware may turn a type into another, so only without it can a message be skipped unopened.
    if (route === undefined && this.around === undefined) {
      counters.skipped++
      return turn.settle(ACK)
    }
    if (delivery.crashes >= policy.crashes) return settleWith(turn, this.crashed(delivery, route))
    let opened: Message | Promise<Message>
    try {
      opened = open(delivery.message, registry.get(type), codec, privacy)
    } catch (error) {
      return settleWith(turn, this.unreadable(delivery, route, error))
    }
    if (!(opened instanceof Promise)) return this.first(turn, opened, route)
    void opened.then(
      (message) => this.first(turn, message, route),
      (error) => {
        // Nothing is wrong with the message: it is worth another try, as after a handler that failed.
        const unread = { ...delivery.message, data: undefined }
        const isPassing = error instanceof KeysUnavailableError
        settleWith(
          turn,
          isPassing ? this.failed(delivery, unread, route, error) : this.unreadable(delivery, route, error),
        )
      },
    )
  }

  private first(turn: Turn, message: Message, route: Route | undefined): void {
    if (message.kind === 'query' && expired(message, this.options.clock.now())) return turn.settle(this.done(SKIPPED))
    const { delivery } = turn
    let result: unknown
    try {
      result = this.run(delivery, message, route, delivery.attempts + 1)
    } catch (error) {
      return settleWith(turn, this.failed(delivery, message, route, error))
    }
    if (!isThenable(result)) return turn.settle(this.done(undefined))
    void Promise.resolve(result).then(
      (outcome) => turn.settle(this.done(outcome)),
      (error: unknown) => settleWith(turn, this.failed(delivery, message, route, error)),
    )
  }

  /** One run. Throws or rejects as the handler does. */
  private run(delivery: Delivery, message: Message, route: Route | undefined, attempt: number): unknown {
    const run = new Run(
      message,
      attempt,
      this.options.group,
      route?.name ?? this.options.group,
      delivery,
      this.options.bus,
    )
    if (this.around !== undefined) return handledAs(message, this.aroundRun, run, undefined)
    const result = handledAs(message, (route as Route).handle, message, run)
    return message.kind === 'query' ? this.answered(message, result) : result
  }

  /** The same through middleware. Resolves to what became of the message. */
  private readonly aroundRun = async (run: Run): Promise<Outcome> => {
    const { state } = run
    const result = await this.around?.(run)
    if (state.outcome === HANDLED && run.message.kind === 'query') await this.answered(run.message, result)
    return state.outcome
  }

  private async innermost(run: Run): Promise<unknown> {
    const { routes, registry } = this.options
    const route = routes.find(run.message.type)
    if (route === undefined) {
      run.state.outcome = SKIPPED
      return undefined
    }
    run.state.outcome = HANDLED
    const message = await validated(run.message, run.state.original, registry.get(run.message.type))
    return route.handle(message, withMessage(run, message))
  }

  private async answered(message: Message, result: unknown): Promise<void> {
    await this.options.reply(message, { data: await result })
  }

  private done(outcome: unknown): Verdict {
    if (outcome === FILTERED) this.options.counters.filtered++
    else if (outcome === SKIPPED) this.options.counters.skipped++
    else this.options.counters.handled++
    return ACK
  }

  /** Retries in this process, holding the line of the key; then redelivery or the dead letters. */
  private async failed(
    delivery: Delivery,
    message: Message,
    route: Route | undefined,
    thrown: unknown,
  ): Promise<Verdict> {
    const { policy, counters, clock, capabilities } = this.options
    const firstFailedAt = delivery.firstFailedAt ?? clock.now()
    let error = thrown
    let attempts = delivery.attempts + 1
    for (let retry = 1; ; retry++) {
      counters.failed++
      if (delivery.signal.aborted) return RELEASE
      if (retry > policy.retries || !this.retryable(error)) break
      await delivery.began(attempts)
      if (!(await wait(clock, backoff(policy, retry), this.stopping.signal))) return RELEASE
      attempts++
      counters.retried++
      try {
        // Opened anew: what the failed run did to its data is not to be seen by the next.
        const { registry, codec, privacy } = this.options
        const fresh = await open(delivery.message, registry.get(message.type), codec, privacy)
        return this.done(await this.run(delivery, fresh, route, attempts))
      } catch (again) {
        error = again
      }
    }
    if (await this.answerFailed(message, error)) return ACK
    const after = policy.redeliveries[delivery.redeliveries]
    if (after !== undefined && capabilities.redelivery && this.retryable(error)) {
      counters.redelivered++
      this.log('warn', delivery, route, error, `attempt ${attempts} failed; redelivery in ${after} ms`)
      return { redeliver: { after, attempts, firstFailedAt } }
    }
    return this.deadLetter(delivery, route, error, 'failed', attempts, firstFailedAt)
  }

  /** A policy that throws must not stop the settling: then the message is worth another try. */
  private retryable(error: unknown): boolean {
    try {
      return this.options.policy.retryable(error)
    } catch (thrown) {
      this.options.bus.logger.error(
        { group: this.options.group, error: summarize(thrown).message },
        `'retryable' of the retry policy threw; the failure counts as retryable`,
      )
      return true
    }
  }

  /** Whoever asks a query waits for it now: the failure is the answer, and nothing comes again later. */
  private async answerFailed(message: Message, error: unknown): Promise<boolean> {
    if (message.kind !== 'query') return false
    try {
      await this.options.reply(message, { error })
    } catch (unsent) {
      this.options.bus.logger.warn(
        { messageId: message.id, error: summarize(unsent).message },
        'a reply could not be sent',
      )
    }
    return true
  }

  /** Neither bytes nor data get better by trying again: straight to the dead letters, unless nobody here wants it anyway. */
  private unreadable(delivery: Delivery, route: Route | undefined, error: unknown): Verdict | Promise<Verdict> {
    if (route === undefined) return this.done(SKIPPED)
    const { message } = delivery
    if (message.kind === 'query') return this.answerFailed({ ...message, data: undefined }, error).then(() => ACK)
    const now = this.options.clock.now()
    // A schema or upcaster that throws could read the bytes, and not the data.
    const reason = error instanceof DecodeError ? 'undecodable' : 'invalid'
    return this.deadLetter(delivery, route, error, reason, delivery.attempts, delivery.firstFailedAt ?? now)
  }

  private crashed(delivery: Delivery, route: Route | undefined): Verdict | Promise<Verdict> {
    const error = new CrashLoopError(
      `the process died ${delivery.crashes} times while this message was being handled; it was not run again`,
    )
    const since = delivery.firstFailedAt ?? this.options.clock.now()
    return this.deadLetter(delivery, route, error, 'crashed', delivery.attempts, since)
  }

  private deadLetter(
    delivery: Delivery,
    route: Route | undefined,
    error: unknown,
    reason: FailureReason,
    attempts: number,
    firstFailedAt: number,
  ): Verdict | Promise<Verdict> {
    this.options.counters.deadLettered++
    this.log('error', delivery, route, error, `dead-lettered after ${attempts} attempts`)
    return this.options.onDeadLetter(delivery, {
      reason,
      error: summarize(error),
      handler: route?.name ?? this.options.group,
      attempts,
      firstFailedAt,
      lastFailedAt: this.options.clock.now(),
    })
  }

  private log(
    level: 'warn' | 'error',
    delivery: Delivery,
    route: Route | undefined,
    error: unknown,
    text: string,
  ): void {
    const { name, message } = summarize(error)
    this.options.bus.logger[level](
      {
        group: this.options.group,
        handler: route?.name,
        type: delivery.message.type,
        messageId: delivery.message.id,
        position: delivery.position,
        error: { name, message },
      },
      `${delivery.message.type} in group '${this.options.group}': ${text}`,
    )
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return value instanceof Promise || (typeof value === 'object' && value !== null && 'then' in value)
}

function settleWith(turn: Turn, verdict: Verdict | Promise<Verdict>): void {
  if (verdict instanceof Promise) void verdict.then((settled) => turn.settle(settled))
  else turn.settle(verdict)
}
