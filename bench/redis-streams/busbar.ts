import { Redis } from 'ioredis'
import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { empty, prefixOf, remove, url } from './settings.ts'

export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`busbar-${payloadBytes}`)
  const redis = new Redis(url)
  const subject = await openBusbar(`${url}?prefix=${prefix}`, payloadBytes)
  const { line } = subject
  if (line === undefined) throw new Error('a line of Busbar is missing')
  const away = async (): Promise<void> => {
    await line.away()
    await empty(redis, prefix)
  }
  const close = async (): Promise<void> => {
    await subject.close()
    await remove(redis, prefix)
    redis.disconnect()
  }
  return { ...subject, line: { ...line, away }, close }
}
