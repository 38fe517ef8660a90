import type { Definition } from '../message/contract.ts'
import { BusbarError, ConfigurationError, ValidationError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'
import { uuidv7 } from '../message/uuid.ts'
import type { Clock } from './clock.ts'
import { summarize } from './redact.ts'

/** Nobody answered a query in time. */
export class RequestTimeoutError extends BusbarError {
  override readonly name: string = 'RequestTimeoutError'
}

/** The handler of a query failed for good; the text is its error's. */
export class RequestFailedError extends BusbarError {
  override readonly name: string = 'RequestFailedError'
}

/** Header of a query: the topic that the answer goes to. */
export const REPLY_TO = 'replyto'
/** Header of a query: Unix milliseconds after which nobody waits for the answer any more. */
export const EXPIRES = 'expiresat'
/** Header of a reply: `failed` where its data is an error. */
const OUTCOME = 'outcome'

export interface RequestOptions {
  /** Milliseconds to wait for the answer. Default 10 000. */
  readonly timeout?: number
  readonly signal?: AbortSignal
}

interface Pending {
  readonly definition: Definition | undefined
  readonly type: string
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

/** The asking side: which requests wait, and what the replies make of them. Nothing waits longer than its timeout. */
export class Requests {
  private readonly pending = new Map<string, Pending>()
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  get waiting(): number {
    return this.pending.size
  }

  /** Sends `query` with `send` and resolves to its answer, checked by the contract. */
  async ask(
    query: Message,
    definition: Definition | undefined,
    replyTopic: string,
    send: (query: Message) => Promise<void>,
    { timeout = 10_000, signal }: RequestOptions = {},
  ): Promise<unknown> {
    signal?.throwIfAborted()
    if (!(timeout > 0)) throw new ConfigurationError(`'timeout' must be more than 0 milliseconds, not ${timeout}`)
    const expires = String(this.clock.now() + timeout)
    const asked: Message = {
      ...plain(query),
      metadata: { ...query.metadata, [REPLY_TO]: replyTopic, [EXPIRES]: expires },
    }
    const late = new RequestTimeoutError(
      `no answer to ${query.type} within ${timeout} ms: is a handler subscribed, and is it fast enough?`,
    )
    const answer = new Promise<unknown>((resolve, reject) => {
      this.pending.set(query.id, { definition, type: query.type, resolve, reject })
    })
    const cancel = this.clock.schedule(timeout, () => this.pending.get(query.id)?.reject(late))
    const onAbort = (): void => this.pending.get(query.id)?.reject(asError(signal?.reason))
    signal?.addEventListener('abort', onAbort, { once: true })
    // Not awaited: an answer may come before the confirmation, and a broker that hangs must not outlast the timeout.
    send(asked).catch((error: unknown) => this.pending.get(query.id)?.reject(asError(error)))
    try {
      return await answer
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
      this.pending.delete(query.id)
    }
  }

  /** This process waits for the reply to that query. */
  asked(id: string | undefined): boolean {
    return this.pending.has(id ?? '')
  }

  /** A reply has come. One that nobody waits for any more is dropped. */
  async take(reply: Message): Promise<void> {
    const waiting = this.pending.get(reply.metadata.causationId ?? '')
    if (waiting === undefined) return
    if (reply.metadata[OUTCOME] === 'failed') {
      const { name, message } = reply.data as { name: string; message: string }
      waiting.reject(new RequestFailedError(`${waiting.type} failed: ${name}: ${message}`))
      return
    }
    const outcome = await waiting.definition?.answer?.(reply.data)
    if (outcome !== undefined && 'issues' in outcome) {
      waiting.reject(new ValidationError(`answer to ${waiting.type}`, reply.version, outcome.issues))
      return
    }
    waiting.resolve(outcome === undefined ? reply.data : outcome.data)
  }

  /** Rejects all that waits, because the bus stops. */
  close(): void {
    for (const waiting of this.pending.values()) {
      waiting.reject(new RequestTimeoutError(`the bus was stopped before ${waiting.type} was answered`))
    }
  }
}

/** Whether nobody waits for the answer any more. */
export function expired(query: Message, now: number): boolean {
  const expires = query.metadata[EXPIRES]
  return expires !== undefined && Number(expires) < now
}

/** The reply to a query, caused by it. */
export function replyTo(query: Message, outcome: { data: unknown } | { error: unknown }): Message {
  const failed = 'error' in outcome
  const { name, message } = failed ? summarize(outcome.error) : { name: '', message: '' }
  return {
    id: uuidv7(),
    type: `${query.type}.reply`,
    kind: 'reply',
    source: '',
    time: new Date(),
    version: query.version,
    data: failed ? { name, message } : (outcome.data ?? null),
    metadata: {
      correlationId: query.metadata.correlationId,
      causationId: query.id,
      ...(failed && { [OUTCOME]: 'failed' }),
    },
  }
}

function plain(message: Message): Message {
  const { id, type, kind, source, subject, key, time, version, revision, priority, data, metadata } = message
  return { id, type, kind, source, subject, key, time, version, revision, priority, data, metadata }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new BusbarError(String(reason))
}
