import * as api from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, test } from 'vitest'

import type { Message } from '../../message/index.ts'
import { memoryBus } from '../fixtures/bus.ts'
import { OrderPaid, Ticked } from '../fixtures/contracts.ts'
import { tracing } from './tracing.ts'

const exporter = new InMemorySpanExporter()
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

function record(): void {
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
}

beforeEach(record)
afterEach(() => {
  exporter.reset()
  api.trace.disable()
  api.context.disable()
})

const spanNamed = (name: string): ReadableSpan => {
  const found = exporter.getFinishedSpans().find((span) => span.name === name)
  if (found === undefined) throw new Error(`no span ${name}`)
  return found
}

test('publish and run are spans of one trace, described by the conventions for messaging', async () => {
  await using bus = await memoryBus({ middleware: [tracing()] })
  await bus.subscribe(Ticked, () => {}, { group: 'g' })
  const message = Ticked.create({ n: 4711 })
  await bus.publish(message)
  await bus.idle()
  const publish = spanNamed('publish Ticked')
  const process = spanNamed('process Ticked')
  expect(publish.kind).toBe(api.SpanKind.PRODUCER)
  expect(process.kind).toBe(api.SpanKind.CONSUMER)
  expect(process.parentSpanContext?.spanId).toBe(publish.spanContext().spanId)
  expect(process.spanContext().traceId).toBe(publish.spanContext().traceId)
  expect(publish.attributes).toMatchObject({
    'messaging.system': 'busbar',
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
    'messaging.message.id': message.id,
  })
  expect(process.attributes).toMatchObject({
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'events',
    'messaging.consumer.group.name': 'g',
    'busbar.attempt': 1,
  })
  expect(JSON.stringify([publish.attributes, process.attributes])).not.toContain('4711')
})

test('what a handler publishes is a child of its run, also after an await', async () => {
  await using bus = await memoryBus({ middleware: [tracing()] })
  await bus.subscribe(Ticked, async (_event, context) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    await context.publish(OrderPaid.create({ orderId: 'o-1' }))
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  expect(spanNamed('publish order.paid').parentSpanContext?.spanId).toBe(
    spanNamed('process Ticked').spanContext().spanId,
  )
})

test('the headers name the publish span, keep a foreign tracestate, and the caller’s trace goes on', async () => {
  await using bus = await memoryBus({ middleware: [tracing()] })
  const seen: Message[] = []
  await bus.subscribe(Ticked, (event) => void seen.push(event))
  await bus.publish(Ticked.create({ n: 1 }, { traceparent: TRACEPARENT, tracestate: 'vendor=1' }))
  await bus.idle()
  const publish = spanNamed('publish Ticked')
  expect(publish.parentSpanContext).toMatchObject({ spanId: 'b7ad6b7169203331', isRemote: true })
  const { traceId, spanId } = publish.spanContext()
  expect(traceId).toBe('0af7651916cd43dd8448eb211c80319c')
  expect(seen[0]?.metadata).toMatchObject({ traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'vendor=1' })
})

test('the active span of the caller is the parent', async () => {
  await using bus = await memoryBus({ middleware: [tracing()] })
  const tracer = api.trace.getTracer('test')
  await tracer.startActiveSpan('request', async (span) => {
    await bus.publish(Ticked.create({ n: 1 }))
    span.end()
  })
  expect(spanNamed('publish Ticked').parentSpanContext?.spanId).toBe(spanNamed('request').spanContext().spanId)
})

test('a failed run is recorded with its error, without credentials, and each retry is a span', async () => {
  await using bus = await memoryBus({ middleware: [tracing()], retry: { retries: 1, minDelay: 0 } })
  await bus.subscribe(Ticked, () => {
    throw new TypeError('password=hunter2')
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await bus.idle()
  const runs = exporter.getFinishedSpans().filter((span) => span.name === 'process Ticked')
  expect(runs.map((span) => span.attributes['busbar.attempt'])).toEqual([1, 2])
  expect(runs[0]?.status).toEqual({ code: api.SpanStatusCode.ERROR, message: 'password=***' })
  expect(runs[0]?.attributes['error.type']).toBe('TypeError')
  expect(JSON.stringify(runs.map((span) => span.events))).not.toContain('hunter2')
})

test('without an SDK nothing breaks and the traceparent is passed on through handlers', async () => {
  api.trace.disable()
  api.context.disable()
  await using bus = await memoryBus({ middleware: [tracing({ api })] })
  const seen: (string | undefined)[] = []
  await bus.subscribe(Ticked, (_event, context) => context.publish(OrderPaid.create({ orderId: 'o-1' })))
  await bus.subscribe(OrderPaid, (event) => void seen.push(event.metadata.traceparent))
  await bus.publish(Ticked.create({ n: 1 }, { traceparent: TRACEPARENT }))
  await bus.publish(Ticked.create({ n: 2 }))
  await bus.idle()
  expect(seen).toEqual([TRACEPARENT, undefined])
  expect(exporter.getFinishedSpans()).toEqual([])
})

test('a traceparent that is none begins a new trace instead of breaking the publish', async () => {
  await using bus = await memoryBus({ middleware: [tracing()] })
  for (const traceparent of [
    'rubbish',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    `ff${TRACEPARENT.slice(2)}`,
  ]) {
    exporter.reset()
    await bus.publish(Ticked.create({ n: 1 }, { traceparent }))
    expect(spanNamed('publish Ticked').parentSpanContext).toBeUndefined()
  }
})
