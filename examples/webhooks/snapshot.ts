/** What the live view shows, taken from the bus at one moment. */
import { type App, GROUPS } from './app.ts'
import type { Percentiles } from './latencies.ts'

export interface GroupNumbers {
  readonly group: string
  /** Since this start. */
  readonly handled: number
  /** Handled a second, since the snapshot before. */
  readonly rate: number
  /** Confirmed and not yet settled. */
  readonly lag: number
  readonly retried: number
  readonly redelivered: number
  /** Dead letters that are kept. */
  readonly dead: number
}

export interface Snapshot {
  /** Unix milliseconds. */
  readonly at: number
  /** Milliseconds since the start. */
  readonly uptime: number
  readonly published: number
  readonly publishRate: number
  readonly groups: readonly GroupNumbers[]
  readonly latency: Percentiles
  /** Whether the mirror takes wiki pages. */
  readonly mirrorWorks: boolean
  /** Bytes of the bus's file, where it has one. */
  readonly fileSize: number | undefined
  /** It was told to stop, and sends nothing more. */
  readonly stopping: boolean
  /** What has just happened in the repositories, the latest first. */
  readonly latest: readonly string[]
}

/** What only the stream itself knows. */
export interface Progress {
  readonly startedAt: number
  readonly published: number
  readonly latency: Percentiles
  readonly mirrorWorks: boolean
  readonly stopping: boolean
}

export async function snapshotOf(app: App, progress: Progress, before: Snapshot | undefined): Promise<Snapshot> {
  const { broker, subscriptions } = await app.bus.metrics()
  const at = Date.now()
  const elapsed = (at - (before?.at ?? progress.startedAt)) / 1000
  const rate = (now: number, then: number): number => (elapsed > 0 ? (now - then) / elapsed : 0)
  const groups = GROUPS.map((group) => {
    const stats = subscriptions.find((each) => each.group === group)
    const ofGroup = broker.groups.filter((each) => each.group === group)
    const handled = stats?.handled ?? 0
    return {
      group,
      handled,
      rate: rate(handled, before?.groups.find((each) => each.group === group)?.handled ?? 0),
      lag: ofGroup.reduce((sum, each) => sum + each.lag, 0),
      retried: stats?.retried ?? 0,
      redelivered: stats?.redelivered ?? 0,
      dead: ofGroup.reduce((sum, each) => sum + each.dead, 0),
    }
  })
  return {
    at,
    uptime: at - progress.startedAt,
    published: progress.published,
    publishRate: rate(progress.published, before?.published ?? 0),
    groups,
    latency: progress.latency,
    mirrorWorks: progress.mirrorWorks,
    fileSize: app.fileSize(),
    stopping: progress.stopping,
    latest: latest(app),
  }
}

function latest(app: App): string[] {
  const rows = app.database.prepare('SELECT repository, latest FROM activity ORDER BY place DESC LIMIT 3').all()
  return rows.map((row) => `${String(row['repository'])}  ${String(row['latest'])}`)
}
