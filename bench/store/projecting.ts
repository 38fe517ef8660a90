/** How fast a read model follows a store, and how fast it is built anew beside the one that is shown. */
import { event, typed } from 'busbar'
import type { EventStore } from 'busbar/eventstore'
import { projection, Projections, SqlReadModel, when } from 'busbar/projections'
import type { Database } from 'busbar/transaction'

export const Placed = event('OrderPlaced', typed<{ total: number; note: string }>())

/** Milliseconds between two lines of progress. */
const PROGRESS = 1_000

/**
 * Sums for each stream in a table, in one transaction with the checkpoint. The store gets no event meanwhile.
 *
 * @param events How many the store has: as many have to be applied, or it fails.
 */
export async function measureProjection(
  store: EventStore,
  database: Database,
  events: number,
  report: (measure: string, eventsPerSecond: number) => void,
): Promise<void> {
  const totals = projection({
    name: 'totals',
    tables: { totals: 'stream TEXT PRIMARY KEY, total INTEGER NOT NULL' },
    on: [
      when(Placed, ({ stream, event: { data } }, { run, table }) =>
        run(
          `INSERT INTO ${table('totals')} AS t (stream, total) VALUES (?, ?)
           ON CONFLICT (stream) DO UPDATE SET total = t.total + excluded.total`,
          [stream, data.total],
        ),
      ),
    ],
  })
  const projections = new Projections(store, new SqlReadModel(database), [totals])
  const steps = {
    'projection catch-up': async () => {
      await projections.start()
      await projections.caughtUp('totals', { timeout: 3_600_000 })
    },
    'projection rebuild': () => projections.rebuild('totals'),
  }
  for (const [measure, step] of Object.entries(steps)) {
    const end = showProgress(measure, projections, events)
    const begin = performance.now()
    await step().finally(end)
    const elapsed = performance.now() - begin
    const applied = (await projections.status('totals')).live?.applied
    if (applied !== events) throw new Error(`${measure}: ${applied} events were applied of ${events}`)
    report(measure, (events / elapsed) * 1_000)
  }
  await projections.stop()
}

/** On a terminal; elsewhere nothing, and nothing is asked. */
function showProgress(measure: string, projections: Projections<never>, events: number): () => void {
  if (!process.stderr.isTTY) return () => {}
  const timer = setInterval(() => {
    void projections.status('totals').then(({ live, next }) => {
      const applied = (next ?? live)?.applied ?? 0
      process.stderr.write(`\r\x1b[K${measure}: ${applied} of ${events}`)
    })
  }, PROGRESS)
  return () => {
    clearInterval(timer)
    process.stderr.write('\r\x1b[K')
  }
}
