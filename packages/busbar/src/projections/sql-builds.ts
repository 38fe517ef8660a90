import { ConfigurationError } from '../message/errors.ts'
import type { Transaction } from '../transaction/transaction.ts'
import type { Projection, TableDefinition } from './projection.ts'
import type { Build } from './build.ts'
import type { Builds } from './read-model.ts'
import { type SqlModel, tableOf } from './sql-model.ts'

/** A build and the names of its tables. */
export interface SqlBuild extends Build {
  readonly tables: readonly string[]
}

export interface SqlBuilds extends Builds {
  readonly live: SqlBuild | undefined
  readonly next: SqlBuild | undefined
  readonly last: number
  /** Milliseconds of the database's clock until which appends with this projection inline have to wait. */
  readonly frozenUntil: number
}

export async function readBuilds(tx: Transaction, name: string): Promise<SqlBuilds> {
  const [row] = await tx.execute(
    'SELECT last, live, next, paused, frozen_until FROM busbar_projections WHERE name = ?',
    [name],
  )
  if (row === undefined) return { live: undefined, next: undefined, paused: false, last: 0, frozenUntil: 0 }
  const builds = await tx.execute(
    'SELECT build, version, fingerprint, partitions, tables FROM busbar_projection_builds WHERE name = ?',
    [name],
  )
  const numbered = (number: unknown): SqlBuild | undefined => {
    const found = builds.find(({ build }) => number !== null && Number(build) === Number(number))
    if (found === undefined) return undefined
    return {
      name,
      number: Number(found['build']),
      version: Number(found['version']),
      fingerprint: found['fingerprint'] as string,
      partitions: Number(found['partitions']),
      tables: JSON.parse(found['tables'] as string) as string[],
    }
  }
  return {
    live: numbered(row['live']),
    next: numbered(row['next']),
    paused: Number(row['paused']) === 1,
    last: Number(row['last']),
    frozenUntil: Number(row['frozen_until']),
  }
}

/** Holds up everybody else who changes the builds of this projection until the transaction ends. */
export async function lockBuilds(tx: Transaction, name: string): Promise<SqlBuilds> {
  await tx.execute('INSERT INTO busbar_projections (name) VALUES (?) ON CONFLICT (name) DO NOTHING', [name])
  await tx.execute('UPDATE busbar_projections SET last = last WHERE name = ?', [name])
  return readBuilds(tx, name)
}

/** An empty build with its tables, not shown to anybody. */
export async function makeBuild(tx: Transaction, projection: Projection<SqlModel>, number: number): Promise<SqlBuild> {
  const { name, version, fingerprint, partitions, tables } = projection
  for (const [table, definition] of Object.entries(tables)) await makeTable(tx, name, table, definition, number)
  await tx.execute(
    `INSERT INTO busbar_projection_builds (name, build, version, fingerprint, partitions, tables) VALUES (?, ?, ?, ?, ?, ?)`,
    [name, number, version, fingerprint, partitions, JSON.stringify(Object.keys(tables))],
  )
  for (let partition = 0; partition < partitions; partition++) {
    await tx.execute('INSERT INTO busbar_projection_partitions (name, build, partition) VALUES (?, ?, ?)', [
      name,
      number,
      partition,
    ])
  }
  return { name, number, version, fingerprint, partitions, tables: Object.keys(tables) }
}

async function makeTable(
  tx: Transaction,
  projection: string,
  table: string,
  { columns, indexes }: TableDefinition,
  build: number,
): Promise<void> {
  const physical = tableOf(table, build)
  try {
    await tx.execute(`CREATE TABLE ${physical} (${columns})`)
    for (const [index, on] of indexes.entries()) {
      await tx.execute(`CREATE INDEX "${table}__b${build}_${index}" ON ${physical} (${on})`)
    }
  } catch (error) {
    throw new ConfigurationError(
      `projection '${projection}': table '${table}' cannot be made of its declared columns and indexes: ${(error as Error).message}`,
      { cause: error },
    )
  }
}

/** Readers see the tables of this build from the commit on. */
export async function show(tx: Transaction, { number, tables, name }: SqlBuild): Promise<void> {
  for (const table of tables) {
    try {
      await tx.execute(`CREATE VIEW "${table}" AS SELECT * FROM ${tableOf(table, number)}`)
    } catch (error) {
      throw new ConfigurationError(
        `projection '${name}' cannot show its table '${table}' as a view of that name: ${(error as Error).message}; ` +
          'is there a table or view of that name, or another projection with it?',
        { cause: error },
      )
    }
  }
}

export async function hide(tx: Transaction, tables: readonly string[]): Promise<void> {
  for (const table of tables) await tx.execute(`DROP VIEW IF EXISTS "${table}"`)
}

export async function dropBuild(tx: Transaction, { name, number, tables }: SqlBuild): Promise<void> {
  for (const table of tables) await tx.execute(`DROP TABLE IF EXISTS ${tableOf(table, number)}`)
  for (const from of ['builds', 'partitions', 'skipped']) {
    await tx.execute(`DELETE FROM busbar_projection_${from} WHERE name = ? AND build = ?`, [name, number])
  }
}
