import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { connect, schemaOf, url } from './settings.ts'

export const open: Open = async (payloadBytes) => {
  const schema = schemaOf(`busbar_${payloadBytes}`)
  const subject = await openBusbar(`${url}?schema=${schema}`, payloadBytes)
  const client = await connect(schema)
  const { line } = subject
  if (line === undefined) throw new Error('a line of Busbar is missing')
  const away = async (): Promise<void> => {
    await line.away()
    // What was measured before is of no interest; the positions go on.
    await client.query('TRUNCATE busbar_messages')
  }
  const close = async (): Promise<void> => {
    await subject.close()
    await client.query(`DROP SCHEMA "${schema}" CASCADE`)
    await client.end()
  }
  return { ...subject, line: { ...line, away }, close }
}
