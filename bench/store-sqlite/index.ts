import type { Suite } from '../suite.ts'

export const storeSqlite: Suite = {
  subjects: {},
  processes: [],
  extras: ['./store-sqlite/measure.ts', './store-sqlite/growth.ts'],
  notes: [
    'Events a second. Every append begins a stream and expects that it is not there. WAL, synchronous = normal for all.',
    'busbar: appends that wait together are one commit; an appended event is a message of the log, too, which groups get.',
    'projections: a sum for each stream in a table of SQLite, in one transaction with the checkpoint; the whole store, at most a million events.',
    'raw: node:sqlite on tables of Busbar with all their indexes; one transaction an append, which looks whether the stream is there.',
    'emmett: @event-driven-io/emmett-sqlite on one connection; its driver sqlite3, which has to be compiled, is node:sqlite here, and quicker.',
    '  Of 50 appends at once it makes one transaction, and answers all but the last before that is committed; of several, "is not there" is checked by its unique keys.',
  ],
}
