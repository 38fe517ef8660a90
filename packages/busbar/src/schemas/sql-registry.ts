import { type RegisteredSchema, sameSchema, SchemaConflictError, type SchemaRegistry } from '../message/index.ts'
import type { Database } from '../transaction/database.ts'
import type { SqlRow, Transaction } from '../transaction/transaction.ts'

/** One for all of Busbar's registries in a database: creating a table twice at once fails in Postgres. */
const LOCK = 'SELECT pg_advisory_xact_lock(7305808869227067)'

/** Schemas in a table `busbar_schemas` of SQLite or PostgreSQL, which is made when it is first needed: best beside the event store. */
export class SqlSchemaRegistry implements SchemaRegistry {
  readonly #database: Database
  #made: Promise<void> | undefined

  constructor(database: Database) {
    this.#database = database
  }

  async register(entry: RegisteredSchema): Promise<void> {
    await this.#make()
    const { type, version, schema, upcastsFrom } = entry
    await this.#database.transaction(async (tx) => {
      await tx.execute(
        'INSERT INTO busbar_schemas (type, version, upcasts_from) VALUES (?, ?, ?) ON CONFLICT (type, version) DO NOTHING',
        [type, version, upcastsFrom],
      )
      // Whoever registers the same version waits here.
      await tx.execute('UPDATE busbar_schemas SET type = type WHERE type = ? AND version = ?', [type, version])
      const [known] = await select(tx, 'WHERE type = ? AND version = ?', [type, version])
      if (schema === undefined) return
      if (known?.schema !== undefined) {
        if (!sameSchema(known.schema, schema)) throw new SchemaConflictError(type, version)
        return
      }
      await tx.execute('UPDATE busbar_schemas SET body = ?, upcasts_from = ? WHERE type = ? AND version = ?', [
        JSON.stringify(schema),
        upcastsFrom,
        type,
        version,
      ])
    })
  }

  async get(type: string, version: number): Promise<RegisteredSchema | undefined> {
    return (await this.#select('WHERE type = ? AND version = ?', [type, version]))[0]
  }

  versions(type: string): Promise<readonly RegisteredSchema[]> {
    return this.#select('WHERE type = ? ORDER BY version', [type])
  }

  async types(): Promise<readonly string[]> {
    await this.#make()
    const rows = await this.#database.transaction((tx) => tx.execute('SELECT DISTINCT type FROM busbar_schemas'))
    return rows.map(({ type }) => type as string).toSorted()
  }

  async #select(where: string, params: readonly (string | number)[]): Promise<readonly RegisteredSchema[]> {
    await this.#make()
    return this.#database.transaction((tx) => select(tx, where, params))
  }

  #make(): Promise<void> {
    this.#made ??= this.#database.transaction(create).catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }
}

async function create(tx: Transaction): Promise<void> {
  if (tx.dialect === 'postgres') await tx.execute(LOCK)
  await tx.execute(
    `CREATE TABLE IF NOT EXISTS busbar_schemas (
      type TEXT NOT NULL,
      version INTEGER NOT NULL,
      body TEXT,
      upcasts_from INTEGER NOT NULL,
      PRIMARY KEY (type, version)
    )`,
  )
}

async function select(
  tx: Transaction,
  where: string,
  params: readonly (string | number)[],
): Promise<readonly RegisteredSchema[]> {
  const rows = await tx.execute(`SELECT type, version, body, upcasts_from FROM busbar_schemas ${where}`, params)
  return rows.map(schemaOf)
}

function schemaOf({ type, version, body, upcasts_from: upcastsFrom }: SqlRow): RegisteredSchema {
  const entry = { type: type as string, version: Number(version), upcastsFrom: Number(upcastsFrom) }
  return body === null
    ? entry
    : { ...entry, schema: JSON.parse(body as string) as NonNullable<RegisteredSchema['schema']> }
}
