import type { Dialect, Position } from '../sql/dialect.ts'
import { oneByOne } from '../sql/one-by-one.ts'
import { messageColumns } from '../sql/rows.ts'

/** The columns of a message (`sql/rows.ts`). Text bodies are TEXT and bytes are BLOB, so `body` has no type. */
const MESSAGE = `
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  subject TEXT,
  key TEXT,
  time INTEGER NOT NULL,
  version INTEGER NOT NULL,
  revision INTEGER,
  priority TEXT,
  content_type TEXT NOT NULL,
  metadata TEXT NOT NULL,
  body NOT NULL`

const END = `SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'busbar_messages'), 0) AS position`

/**
 * SQLite has one writer at a time, so row ids are given in the order of the commits: a position is the row id, and a
 * reader never sees a later one before an earlier one. AUTOINCREMENT: ids of deleted rows are never used again.
 */
export const sqliteDialect: Dialect = {
  name: 'sqlite',
  relations: `SELECT name FROM sqlite_master WHERE substr(name, 1, 7) = 'busbar_'`,
  start: 0,
  // One writer at a time: a transaction that changes what it has read needs no further lock.
  forUpdate: '',
  end: END,
  head: async (sql) => (await sql.all(END))[0]?.['position'] ?? 0,
  ...oneByOne(`
    SELECT position, ${messageColumns} FROM busbar_messages
    WHERE topic = ? AND partition = ? AND position > ? ORDER BY position LIMIT ?`),
  readAt: `
    SELECT position, ${messageColumns} FROM busbar_messages
    WHERE +topic = ? AND +partition = ? AND position IN (SELECT value FROM json_each(?)) ORDER BY position`,
  foreign: { prefix: '', alone: true, parameter: (value) => value },
  listOf: (positions) => JSON.stringify(positions),
  isBefore: (a, b) => Number(a) < Number(b),
  encodePositions: (positions) => {
    let before = 0
    return positions.map((position) => {
      const delta = Number(position) - before
      before = Number(position)
      return String(delta)
    })
  },
  decodePositions: (texts) => {
    let before = 0
    return texts.map((text): Position => (before += Number(text)))
  },
  migrations: [
    [
      `CREATE TABLE busbar_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID`,
      `CREATE TABLE busbar_topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL)`,
      `CREATE TABLE busbar_messages (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        ${MESSAGE}
      )`,
      // The row id is part of every index, so this one is (topic, partition, position).
      `CREATE INDEX busbar_messages_line ON busbar_messages (topic, partition)`,
      `CREATE TABLE busbar_delayed (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        due_at INTEGER NOT NULL,
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        ${MESSAGE}
      )`,
      `CREATE INDEX busbar_delayed_due ON busbar_delayed (due_at)`,
      `CREATE TABLE busbar_cursors (
        grp TEXT NOT NULL,
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        position INTEGER NOT NULL,
        open TEXT NOT NULL DEFAULT '',
        owner TEXT,
        token INTEGER NOT NULL DEFAULT 0,
        expires INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (grp, topic, partition)
      ) WITHOUT ROWID`,
      `CREATE TABLE busbar_members (
        grp TEXT NOT NULL,
        topic INTEGER NOT NULL,
        member TEXT NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (grp, topic, member)
      ) WITHOUT ROWID`,
      `CREATE TABLE busbar_tallies (
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        position INTEGER NOT NULL,
        total INTEGER NOT NULL,
        removed INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)
      ) WITHOUT ROWID`,
      `CREATE TABLE busbar_notes (at INTEGER PRIMARY KEY, position INTEGER NOT NULL)`,
      `CREATE TABLE busbar_set_aside (
        entry INTEGER PRIMARY KEY AUTOINCREMENT,
        grp TEXT NOT NULL,
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        state TEXT NOT NULL,
        due_at INTEGER,
        handed INTEGER NOT NULL DEFAULT 0,
        origin INTEGER,
        place TEXT NOT NULL,
        lane TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        redeliveries INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        first_failed_at INTEGER,
        last_failed_at INTEGER,
        reason TEXT,
        handler TEXT,
        error_name TEXT,
        error_message TEXT,
        error_stack TEXT,
        ${MESSAGE}
      )`,
      `CREATE INDEX busbar_set_aside_due ON busbar_set_aside (grp, topic, partition, state, handed, due_at)`,
      `CREATE INDEX busbar_set_aside_lane ON busbar_set_aside (grp, topic, lane, state, origin) WHERE lane IS NOT NULL`,
      `CREATE INDEX busbar_set_aside_message ON busbar_set_aside (grp, id)`,
    ],
    // Events are messages of the log that have a place in a stream (`sql/events/`).
    [
      `ALTER TABLE busbar_messages ADD COLUMN stream TEXT`,
      `ALTER TABLE busbar_messages ADD COLUMN stream_revision INTEGER`,
      `ALTER TABLE busbar_messages ADD COLUMN category TEXT`,
      `ALTER TABLE busbar_messages ADD COLUMN correlation TEXT`,
      `ALTER TABLE busbar_messages ADD COLUMN stored_at INTEGER`,
      // All are of events alone: a plain message costs nothing more. The row id is part of each, so each is in order.
      `CREATE UNIQUE INDEX busbar_events_stream ON busbar_messages (stream, stream_revision) WHERE stream IS NOT NULL`,
      `CREATE UNIQUE INDEX busbar_events_id ON busbar_messages (id) WHERE stream IS NOT NULL`,
      `CREATE INDEX busbar_events_order ON busbar_messages (position) WHERE stream_revision >= 0`,
      `CREATE INDEX busbar_events_type ON busbar_messages (type) WHERE stream_revision >= 0`,
      `CREATE INDEX busbar_events_category ON busbar_messages (category) WHERE stream_revision >= 0`,
      `CREATE INDEX busbar_events_correlation ON busbar_messages (correlation) WHERE stream_revision >= 0`,
      `CREATE INDEX busbar_events_forgotten ON busbar_messages (topic, partition) WHERE stream_revision < 0`,
      `CREATE TABLE busbar_streams (
        stream TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        first INTEGER NOT NULL DEFAULT 0,
        deleted_at INTEGER,
        deleted_by TEXT
      ) WITHOUT ROWID`,
      `CREATE TABLE busbar_checkpoints (
        name TEXT PRIMARY KEY,
        position TEXT NOT NULL DEFAULT '',
        owner TEXT,
        token INTEGER NOT NULL DEFAULT 0,
        expires INTEGER NOT NULL DEFAULT 0,
        updated_at INTEGER NOT NULL
      ) WITHOUT ROWID`,
      // Up to where retention has been: of what is before that only events are left.
      `ALTER TABLE busbar_tallies ADD COLUMN swept INTEGER`,
    ],
  ],
}
