/** How fast a read model follows a store, and how fast it is built anew beside the one that is shown. */
import { event, typed } from 'busbar'
import type { EventStore } from 'busbar/eventstore'
import { projection, Projections, type SqlModel, SqlReadModel, when, type When, whenMany } from 'busbar/projections'
import type { Database } from 'busbar/transaction'

export const Placed = event('OrderPlaced', typed<{ total: number; note: string }>())

/** Milliseconds between two lines of progress. */
const PROGRESS = 1_000

/**
 * Sums for each stream in a table, in one transaction with the checkpoint, by handlers that take one event and by one that takes
 * many. The store gets no event meanwhile.
 *
 * @param events How many the store has: as many have to be applied, or it fails.
 */
export async function measureProjection(
  store: EventStore,
  database: Database,
  events: number,
  report: (measure: string, eventsPerSecond: number) => void,
): Promise<void> {
  const model = new SqlReadModel(database)
  await measured('totals', one)
  await measured('totals_many', many)

  async function measured(name: string, on: (name: string) => When): Promise<void> {
    const tables = { [name]: 'stream TEXT PRIMARY KEY, total INTEGER NOT NULL' }
    const projections = new Projections(store, model, [projection({ name, tables, on: [on(name)] })])
    const steps = {
      'catch-up': async () => {
        await projections.start()
        await projections.caughtUp(name, { timeout: 3_600_000 })
      },
      rebuild: () => projections.rebuild(name),
    }
    for (const [step, work] of Object.entries(steps)) {
      const measure = `projection ${step}${on === many ? ', many at a time' : ''}`
      const end = showProgress(measure, projections, name, events)
      const begin = performance.now()
      await work().finally(end)
      const elapsed = performance.now() - begin
      const applied = (await projections.status(name)).live?.applied
      if (applied !== events) throw new Error(`${measure}: ${applied} events were applied of ${events}`)
      report(measure, (events / elapsed) * 1_000)
    }
    await projections.stop()
  }
}

/** A statement for each event. */
function one(name: string): When {
  return when(Placed, ({ stream, event: { data } }, model) => add(model, name, new Map([[stream, data.total]])))
}

/** A statement for each batch. */
function many(name: string): When {
  return whenMany(Placed, (all, model) => {
    const sums = new Map<string, number>()
    for (const {
      stream,
      event: { data },
    } of all)
      sums.set(stream, (sums.get(stream) ?? 0) + data.total)
    return add(model, name, sums)
  })
}

function add({ run, table }: SqlModel, name: string, sums: ReadonlyMap<string, number>): Promise<void> {
  return run(
    `INSERT INTO ${table(name)} AS t (stream, total) VALUES ${Array.from(sums, () => '(?, ?)').join(', ')}
     ON CONFLICT (stream) DO UPDATE SET total = t.total + excluded.total`,
    [...sums].flat(),
  )
}

/** On a terminal; elsewhere nothing, and nothing is asked. */
function showProgress<M>(measure: string, projections: Projections<M>, name: string, events: number): () => void {
  if (!process.stderr.isTTY) return () => {}
  const timer = setInterval(() => {
    void projections.status(name).then(({ live, next }) => {
      const applied = (next ?? live)?.applied ?? 0
      process.stderr.write(`\r\x1b[K${measure}: ${applied} of ${events}`)
    })
  }, PROGRESS)
  return () => {
    clearInterval(timer)
    process.stderr.write('\r\x1b[K')
  }
}
