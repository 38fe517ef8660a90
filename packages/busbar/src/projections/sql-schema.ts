import type { Transaction } from '../transaction/transaction.ts'

/** Milliseconds by the clock of the database, which all processes share. */
export function nowOf(dialect: Transaction['dialect']): string {
  return dialect === 'postgres'
    ? '(extract(epoch FROM clock_timestamp()) * 1000)::double precision'
    : `(unixepoch('subsec') * 1000.0)`
}

const STATEMENTS = [
  `CREATE TABLE IF NOT EXISTS busbar_projections (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL DEFAULT 0,
    live INTEGER,
    next INTEGER,
    paused INTEGER NOT NULL DEFAULT 0,
    frozen_until DOUBLE PRECISION NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE IF NOT EXISTS busbar_projection_builds (
    name TEXT NOT NULL,
    build INTEGER NOT NULL,
    version INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    partitions INTEGER NOT NULL,
    tables TEXT NOT NULL,
    PRIMARY KEY (name, build)
  )`,
  `CREATE TABLE IF NOT EXISTS busbar_projection_partitions (
    name TEXT NOT NULL,
    build INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    position TEXT NOT NULL DEFAULT '',
    applied DOUBLE PRECISION NOT NULL DEFAULT 0,
    caught_up INTEGER NOT NULL DEFAULT 0,
    updated_at DOUBLE PRECISION NOT NULL DEFAULT 0,
    owner TEXT,
    token INTEGER NOT NULL DEFAULT 0,
    expires DOUBLE PRECISION NOT NULL DEFAULT 0,
    poison TEXT,
    PRIMARY KEY (name, build, partition)
  )`,
  `CREATE TABLE IF NOT EXISTS busbar_projection_skipped (
    name TEXT NOT NULL,
    build INTEGER NOT NULL,
    position TEXT NOT NULL,
    poison TEXT NOT NULL,
    PRIMARY KEY (name, build, position)
  )`,
  `CREATE TABLE IF NOT EXISTS busbar_projection_members (
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    expires DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, owner)
  )`,
]

/** One for all of Busbar's projections in a database: creating a table twice at once fails in Postgres. */
const LOCK = 'SELECT pg_advisory_xact_lock(7305808869227066)'

export async function createTables(tx: Transaction): Promise<void> {
  if (tx.dialect === 'postgres') await tx.execute(LOCK)
  for (const statement of STATEMENTS) await tx.execute(statement)
}
