import { Client } from 'pg'
import type { Broker } from '../../../broker/index.ts'
import { PostgresBroker } from '../../../postgres/index.ts'
import { fromPg } from '../../../transaction/index.ts'
import type { TargetFaults, TargetOptions, TargetTransaction } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

function urlOf({ settings }: TargetOptions): string {
  if (settings['url'] !== undefined) return settings['url']
  throw new Error('BUSBAR_POSTGRES_URL is not set: ./script/brokers up postgres starts a server and prints it')
}

/** A schema for each namespace. */
const schemaOf = ({ namespace }: TargetOptions): string => `conformance_${namespace.replaceAll('-', '_')}`

export function createBroker(options: TargetOptions): Broker {
  const lease = options.lease === undefined ? {} : { lease: options.lease }
  const client = { application_name: schemaOf(options) }
  return new PostgresBroker({ url: urlOf(options), schema: schemaOf(options), client, logger: silent, ...lease })
}

export function cleanup(options: TargetOptions): Promise<void> {
  return asked(options, (client) => client.query(`DROP SCHEMA IF EXISTS "${schemaOf(options)}" CASCADE`))
}

export async function begin(options: TargetOptions): Promise<TargetTransaction> {
  const client = new Client({ connectionString: urlOf(options) })
  await client.connect()
  await client.query('BEGIN')
  const end = (how: string) => async (): Promise<void> => {
    await client.query(how)
    await client.end()
  }
  return { tx: fromPg(client), commit: end('COMMIT'), rollback: end('ROLLBACK') }
}

export const faults: TargetFaults = {
  async failDeadLetters(options) {
    const table = `"${schemaOf(options)}".busbar_set_aside`
    const no = 'conformance_no_dead_letters'
    await asked(options, (client) =>
      client.query(`ALTER TABLE ${table} ADD CONSTRAINT ${no} CHECK (state <> 'dead') NOT VALID`),
    )
    return () => asked(options, (client) => client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${no}`))
  },

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
