import { readFile, rename, writeFile } from 'node:fs/promises'
import {
  ConfigurationError,
  MemorySchemaRegistry,
  type RegisteredSchema,
  type SchemaRegistry,
} from '../message/index.ts'
import { SqlSchemaRegistry } from '../schemas/index.ts'
import { pgDatabase, sqliteDatabase } from '../transaction/database.ts'

/** A registry that was opened for one command. */
export interface OpenedRegistry {
  readonly registry: SchemaRegistry
  /** Keeps what was registered, where that is not done at once. */
  save(): Promise<void>
  close(): Promise<void>
}

const nothing = async (): Promise<void> => {}

/** @param where `schemas.json`, `sqlite:<file>` or `postgres://…` */
export async function openRegistry(where: string): Promise<OpenedRegistry> {
  if (where.endsWith('.json')) return openFile(where)
  if (where.startsWith('sqlite:')) {
    const { DatabaseSync } = await import('node:sqlite')
    const db = new DatabaseSync(where.slice('sqlite:'.length))
    const close = async (): Promise<void> => db.close()
    return { registry: new SqlSchemaRegistry(sqliteDatabase(db)), save: nothing, close }
  }
  if (/^postgres(ql)?:\/\//.test(where)) {
    const { Pool } = await loadPg()
    const pool = new Pool({ connectionString: where, max: 1 })
    return { registry: new SqlSchemaRegistry(pgDatabase(pool)), save: nothing, close: () => pool.end() }
  }
  throw new ConfigurationError(
    `'${where}' is no registry: give a file that ends in .json, sqlite:<file> or postgres://…`,
  )
}

async function openFile(path: string): Promise<OpenedRegistry> {
  const registry = new MemorySchemaRegistry(await entriesOf(path))
  return {
    registry,
    async save() {
      // Whole or not at all, whatever happens meanwhile.
      await writeFile(`${path}.new`, `${JSON.stringify(registry, null, 2)}\n`)
      await rename(`${path}.new`, path)
    },
    close: nothing,
  }
}

async function entriesOf(path: string): Promise<readonly RegisteredSchema[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    // The first time there is none.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new ConfigurationError(`the registry ${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  try {
    return JSON.parse(text) as readonly RegisteredSchema[]
  } catch (error) {
    throw new ConfigurationError(`the registry ${path} is no JSON: ${(error as Error).message}`, { cause: error })
  }
}

async function loadPg() {
  try {
    return await import('pg')
  } catch (error) {
    throw new ConfigurationError('a registry in PostgreSQL needs its client: npm install pg', { cause: error })
  }
}
