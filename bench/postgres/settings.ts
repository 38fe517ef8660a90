import { Client } from 'pg'

/** The server that all subjects use. */
export const url = serverUrl()

function serverUrl(): string {
  const given = process.env['BUSBAR_POSTGRES_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_POSTGRES_URL is not set: eval "$(./script/brokers up postgres)" starts a server and sets it')
}

/** Schema of one subject in one process. */
export const schemaOf = (subject: string): string => `bench_${process.pid}_${subject}`

export async function connect(schema: string): Promise<Client> {
  const client = new Client({ connectionString: url, pipeline: true })
  await client.connect()
  await client.query(`SET search_path TO "${schema}"`)
  return client
}
