import type { DeadLetter, Failure } from '../broker/index.ts'
import { type Counts, countsOf } from './counts.ts'
import type { Queue } from './queues.ts'
import { fromJobData } from './wire.ts'

/** A failed job as a letter; undefined where there is no such job any more. */
export function letterOf(
  job: Readonly<Record<string, string>>,
  { id, jobId, queue }: { readonly id: string; readonly jobId: string; readonly queue: Queue },
): DeadLetter | undefined {
  const { name = '', data } = job
  if (data === undefined) return undefined
  const place = `${queue.name}#${jobId}`
  const counts: Counts & { readonly position?: string } = countsOf(parsed(job['progress']))
  return {
    id,
    group: queue.group,
    topic: queue.topic,
    position: counts.position ?? place,
    message: fromJobData(name, data, place).message,
    failure: counts.failure ?? foreignFailure(job, queue.group),
    redeliveries: counts.redeliveries,
  }
}

/** A job that BullMQ itself or one of its tools made fail. */
function foreignFailure(job: Readonly<Record<string, string>>, handler: string): Failure {
  const { failedReason = 'unknown', stacktrace, finishedOn, atm = '1' } = job
  const stack = parsed(stacktrace)
  const last = Array.isArray(stack) ? (stack.at(-1) as unknown) : undefined
  const at = Number(finishedOn ?? 0)
  return {
    reason: 'failed',
    error: { name: 'Error', message: failedReason, ...(typeof last === 'string' ? { stack: last } : {}) },
    handler,
    attempts: Number(atm),
    firstFailedAt: at,
    lastFailedAt: at,
  }
}

function parsed(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
