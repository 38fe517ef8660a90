/** `@event-driven-io/emmett-sqlite`. The `sqlite3` that it finds is `peers/sqlite3`. */
export { getSQLiteEventStore, sqliteConnection, SQLiteConnectionPool } from '@event-driven-io/emmett-sqlite'
