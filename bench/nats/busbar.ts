import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { manager, prefixOf, remove, url } from './settings.ts'

export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`busbar-${payloadBytes}`)
  const { jsm, close: disconnect } = await manager()
  const subject = await openBusbar(`${url}?prefix=${prefix}`, payloadBytes)
  const { line } = subject
  if (line === undefined) throw new Error('a line of Busbar is missing')
  const away = async (): Promise<void> => {
    await line.away()
    await jsm.streams.purge(`${prefix}_t_events`)
  }
  const close = async (): Promise<void> => {
    await subject.close()
    await remove(jsm, prefix)
    await disconnect()
  }
  return { ...subject, line: { ...line, away }, close }
}
