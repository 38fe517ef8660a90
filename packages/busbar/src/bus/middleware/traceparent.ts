import type * as otel from '@opentelemetry/api'

import type { Metadata } from '../../message/message.ts'

/** The W3C headers of a message. The propagator that an application has registered for HTTP is not asked: the names are fixed. */
export type TraceHeaders = Pick<Metadata, 'traceparent' | 'tracestate'>

const TRACEPARENT = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-.*)?$/

/** The span that the headers name, or undefined where they name none that is valid. */
export function spanContextOf(api: typeof otel, headers: TraceHeaders): otel.SpanContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(headers.traceparent ?? '') ?? []
  const { tracestate } = headers
  const found: otel.SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & api.TraceFlags.SAMPLED,
    isRemote: true,
    ...(tracestate !== undefined && { traceState: api.createTraceState(tracestate) }),
  }
  return api.isSpanContextValid(found) ? found : undefined
}

/** The headers that name a span; none for a span that is not valid (no SDK is registered). */
export function headersOf(api: typeof otel, span: otel.SpanContext): TraceHeaders {
  if (!api.isSpanContextValid(span)) return {}
  const flags = (span.traceFlags & api.TraceFlags.SAMPLED).toString(16).padStart(2, '0')
  const tracestate = span.traceState?.serialize()
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    // One that belongs to another parent must not stay beside the new one.
    tracestate: tracestate === '' ? undefined : tracestate,
  }
}
