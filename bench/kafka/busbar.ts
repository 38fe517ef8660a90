import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { manager, prefixOf, remove, url } from './settings.ts'

export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`busbar-${payloadBytes}`)
  const subject = await openBusbar(`${url}?prefix=${prefix}`, payloadBytes)
  const close = async (): Promise<void> => {
    await subject.close()
    const admin = manager()
    await remove(admin, prefix)
    await admin.close()
  }
  return { ...subject, close }
}
