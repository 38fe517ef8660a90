import type { Suite } from '../suite.ts'

export const storePostgres: Suite = {
  server: 'BUSBAR_POSTGRES_URL',
  subjects: {},
  processes: [],
  extras: ['./store-postgres/measure.ts', './store-postgres/projecting.ts', './store-postgres/growth.ts'],
  notes: [
    'Events a second. Every append begins a stream and expects that it is not there; a commit is on the disk, for all.',
    'busbar: appends that wait together are one statement; an appended event is a message of the log, too, which groups get.',
    'raw: pg, ten connections, one statement an append into tables of Busbar with all their indexes.',
    'emmett: @event-driven-io/emmett-postgresql with its own defaults, in a database of its own on the same server.',
    'projections: a sum for each stream in a table of the same database, in one transaction with the checkpoint; streams of 100 events.',
  ],
}
