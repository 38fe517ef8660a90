import { createRequire } from 'node:module'

import type * as otel from '@opentelemetry/api'

import { ConfigurationError } from '../../message/errors.ts'
import type { Message } from '../../message/message.ts'
import type { Middleware } from '../middleware.ts'
import { summarize } from '../redact.ts'
import { headersOf, spanContextOf } from './traceparent.ts'

/** The module `@opentelemetry/api` (what `import * as api` gives). */
export interface OpenTelemetryApi {
  readonly trace: object
  readonly context: object
  readonly propagation: object
}

export interface TracingOptions {
  /** Default: the installed `@opentelemetry/api`. */
  readonly api?: OpenTelemetryApi
  /** Name of the tracer. Default `busbar`. */
  readonly tracer?: string
}

/**
 * A span around each publish (kind producer) and each run (kind consumer), named and described by OpenTelemetry's
 * conventions for messaging. The publish's span travels as W3C `traceparent` and `tracestate` in the message's metadata;
 * the run's span is its child, in whatever process. Data is never recorded, and of errors only what `summarize` leaves.
 *
 * Without an SDK there are no spans, and `traceparent` is passed on from message to message, as it is without this
 * middleware. Put it outermost, so that the spans include all the rest.
 *
 * @throws ConfigurationError when `@opentelemetry/api` is not installed.
 */
export function tracing({ api: given, tracer: name = 'busbar' }: TracingOptions = {}): Middleware {
  const api = (given ?? installed()) as typeof otel
  const { trace, context, SpanKind } = api
  // Asked for each span: an SDK may be registered after the bus was made.
  const tracer = (): otel.Tracer => trace.getTracer(name)

  return {
    name: 'tracing',
    async publish(message, next) {
      const active = context.active()
      const parent = trace.getSpanContext(active) === undefined ? remote(api, message) : active
      const attributes = { ...described(message), ...operation('publish', 'send') }
      const span = tracer().startSpan(`publish ${message.type}`, { kind: SpanKind.PRODUCER, attributes }, parent)
      const headers = headersOf(api, span.spanContext())
      await within(api, span, parent, () => next({ ...message, metadata: { ...message.metadata, ...headers } }))
    },
    async consume({ message, group, topic, attempt }, next) {
      const parent = remote(api, message)
      const attributes = {
        ...described(message),
        ...operation('process', 'process'),
        'messaging.destination.name': topic,
        'messaging.consumer.group.name': group,
        'busbar.attempt': attempt,
      }
      const span = tracer().startSpan(`process ${message.type}`, { kind: SpanKind.CONSUMER, attributes }, parent)
      return within(api, span, parent, () => next(message))
    },
  }
}

async function within<T>(api: typeof otel, span: otel.Span, parent: otel.Context, run: () => Promise<T>): Promise<T> {
  try {
    return await api.context.with(api.trace.setSpan(parent, span), run)
  } catch (error) {
    const { name, message, stack = '' } = summarize(error)
    span.setAttribute('error.type', name)
    span.recordException({ name, message, stack })
    span.setStatus({ code: api.SpanStatusCode.ERROR, message })
    throw error
  } finally {
    span.end()
  }
}

/** The span that a message came with, as a parent. */
function remote(api: typeof otel, message: Message): otel.Context {
  const found = spanContextOf(api, message.metadata)
  return found === undefined ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, found)
}

function described({ id, type, source, metadata }: Message): otel.Attributes {
  return {
    'messaging.system': 'busbar',
    'messaging.message.id': id,
    'messaging.message.conversation_id': metadata.correlationId,
    'cloudevents.event_id': id,
    'cloudevents.event_type': type,
    'cloudevents.event_source': source,
  }
}

function operation(name: string, type: 'send' | 'process'): otel.Attributes {
  return { 'messaging.operation.name': name, 'messaging.operation.type': type }
}

function installed(): OpenTelemetryApi {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api') as OpenTelemetryApi
  } catch (error) {
    throw new ConfigurationError(
      `tracing needs '@opentelemetry/api', which is not installed: npm install @opentelemetry/api`,
      {
        cause: error,
      },
    )
  }
}
