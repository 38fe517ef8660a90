import { Client } from 'pg'
import { PostgresEventStorage } from '../../../postgres/index.ts'
import type { Append, EventStorage } from '../../../store/index.ts'
import type { Transaction } from '../../../transaction/index.ts'
import type { TargetOptions } from '../../suite/target.ts'
import type { OwnTransaction, StorageFaults, UserDatabase } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

function urlOf({ settings }: TargetOptions): string {
  if (settings['url'] !== undefined) return settings['url']
  throw new Error('BUSBAR_POSTGRES_URL is not set: ./script/brokers up postgres starts a server and prints it')
}

/** A schema for each namespace. */
const schemaOf = ({ namespace }: TargetOptions): string => `events_${namespace.replaceAll('-', '_')}`

/** Of the user, beside it. */
const tableOf = (options: TargetOptions): string => `public.${schemaOf(options)}_own_rows`

export function createStorage(options: TargetOptions): EventStorage {
  const client = { application_name: schemaOf(options) }
  return new PostgresEventStorage({ url: urlOf(options), schema: schemaOf(options), client, logger: silent })
}

export async function cleanup(options: TargetOptions): Promise<void> {
  await asked(options, async (client) => {
    await client.query(`DROP SCHEMA IF EXISTS "${schemaOf(options)}" CASCADE`)
    await client.query(`DROP TABLE IF EXISTS ${tableOf(options)}`)
  })
}

export const userDatabase: UserDatabase = {
  async table(options) {
    await asked(options, (client) =>
      client.query(`CREATE TABLE IF NOT EXISTS ${tableOf(options)} (value text NOT NULL)`),
    )
    return tableOf(options)
  },
  begin,
}

export const faults: StorageFaults = {
  /** Every connection of the namespace is cut as soon as it is there. */
  async interrupt(options) {
    const client = new Client({ connectionString: urlOf(options) })
    await client.connect()
    const cut = (): Promise<unknown> =>
      client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
        schemaOf(options),
      ])
    await cut()
    let cutting = Promise.resolve<unknown>(undefined)
    const timer = setInterval(() => {
      cutting = cutting.then(cut)
    }, 5)
    return async () => {
      clearInterval(timer)
      await cutting
      await client.end()
    }
  },

  async holdAppend(options: TargetOptions, appends: readonly Append[]) {
    const storage = createStorage(options)
    await storage.start()
    const own = await begin(options)
    await storage.append(appends, { tx: own.tx })
    await storage.stop()
    return own
  },
}

/** A connection of a program's own, with the settings that it has by default. */
async function begin(options: TargetOptions): Promise<OwnTransaction> {
  const client = new Client({ connectionString: urlOf(options) })
  client.on('error', () => {})
  await client.connect()
  await client.query('BEGIN')
  const tx: Transaction = {
    dialect: 'postgres',
    execute: async (sql, params = []) => {
      let count = 0
      const { rows } = await client.query<Record<string, unknown>>(
        sql.replace(/\?/g, () => `$${++count}`),
        [...params],
      )
      return rows
    },
  }
  let ended = false
  const end = async (statement: string): Promise<void> => {
    await client.query(statement)
    if (!ended) setTimeout(() => void client.end().catch(() => {}), 5_000).unref()
    ended = true
  }
  return { tx, commit: () => end('COMMIT'), rollback: () => end('ROLLBACK') }
}

async function asked(options: TargetOptions, ask: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: urlOf(options) })
  await client.connect()
  try {
    await ask(client)
  } finally {
    await client.end()
  }
}
