import { BrokerError } from '../broker/index.ts'
import type { Dialect } from './dialect.ts'
import type { Executor, Statements } from './executor.ts'

/**
 * Brings the tables to the version of this library. Several processes may do it at once: the version is read again inside
 * the transaction that changes it. Rejects when the database was made by a newer Busbar.
 *
 * @param where The database, for people.
 */
export async function migrate(executor: Executor, dialect: Dialect, where: string): Promise<void> {
  const target = dialect.migrations.length
  if (checked(await executor.read((sql) => versionOf(sql, dialect)), target, where) === target) return
  await executor.write(async (sql) => {
    if (dialect.lockMigrations !== undefined) await sql.all(dialect.lockMigrations)
    const version = checked(await versionOf(sql, dialect), target, where)
    for (const statements of dialect.migrations.slice(version)) {
      for (const statement of statements) await sql.run(statement)
    }
    await sql.run(
      `INSERT INTO busbar_meta (name, value) VALUES ('schema', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      [String(target)],
    )
  })
}

async function versionOf(sql: Statements, dialect: Dialect): Promise<number> {
  if ((await sql.all(dialect.hasTables)).length === 0) return 0
  const [row] = await sql.all(`SELECT value FROM busbar_meta WHERE name = 'schema'`)
  return row === undefined ? 0 : Number(row['value'])
}

function checked(version: number, target: number, where: string): number {
  if (version <= target) return version
  throw new BrokerError(
    `${where} has version ${version} of Busbar's tables and this Busbar knows versions up to ${target}: ` +
      'it was written by a newer Busbar. Update busbar in this application, or use another database',
  )
}
