import type { Dialect } from './dialect.ts'
import { TablesError } from './errors.ts'
import type { Executor, Statements } from './executor.ts'

const META = 'busbar_meta'

/**
 * Brings the tables to the version of this library. Several processes may do it at once: the version is read again inside
 * the transaction that changes it.
 *
 * @param where The database, for people.
 * @throws TablesError
 */
export async function migrate(executor: Executor, dialect: Dialect, where: string): Promise<void> {
  const target = dialect.migrations.length
  if ((await executor.read((sql) => versionOf(sql, dialect, where))) === target) return
  await executor.write(async (sql) => {
    if (dialect.lockMigrations !== undefined) await sql.all(dialect.lockMigrations)
    const version = await versionOf(sql, dialect, where)
    for (const statements of dialect.migrations.slice(version)) {
      for (const statement of statements) await sql.run(statement)
    }
    await sql.run(
      `INSERT INTO busbar_meta (name, value) VALUES ('schema', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      [String(target)],
    )
  })
}

/**
 * The version of the tables that are there; 0 where there are none.
 *
 * @throws TablesError where they cannot be worked with.
 */
export async function versionOf(sql: Statements, dialect: Dialect, where: string): Promise<number> {
  const names = new Set((await sql.all(dialect.relations)).map(({ name }) => String(name)))
  if (!names.has(META)) {
    const taken = tablesOf(dialect.migrations).find((table) => names.has(table))
    if (taken !== undefined) throw notOurs(where, taken)
    return 0
  }
  const version = await storedVersion(sql)
  if (version === undefined) throw notOurs(where, META)
  const target = dialect.migrations.length
  if (version > target) {
    throw new TablesError(
      `${where} has version ${version} of Busbar's tables and this Busbar knows versions up to ${target}: ` +
        'it was written by a newer Busbar. Update busbar in this application, or use another database',
    )
  }
  const missing = tablesOf(dialect.migrations.slice(0, version)).filter((table) => !names.has(table))
  if (missing.length === 0) return version
  throw new TablesError(
    `${where} lacks ${missing.join(', ')} of Busbar's tables: somebody deleted that, or the database was restored in part. ` +
      'Restore a whole backup, or use another database',
  )
}

/** Undefined: a table of that name, but not Busbar's. */
async function storedVersion(sql: Statements): Promise<number | undefined> {
  const [any] = await sql.all(`SELECT * FROM ${META} LIMIT 1`)
  if (any === undefined || !('name' in any) || !('value' in any)) return undefined
  const [row] = await sql.all(`SELECT value FROM ${META} WHERE name = 'schema'`)
  const version = Number(row?.['value'])
  return Number.isSafeInteger(version) && version > 0 ? version : undefined
}

function tablesOf(migrations: Dialect['migrations']): string[] {
  return migrations.flat().flatMap((statement) => /^\s*CREATE TABLE (busbar_\w+)/.exec(statement)?.[1] ?? [])
}

function notOurs(where: string, table: string): TablesError {
  return new TablesError(
    `${where} has a table or view ${table} that is not Busbar's: another program uses that name. Give Busbar another database` +
      ', or rename it there',
  )
}
