import { Redis } from 'ioredis'
import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { prefixOf, remove, url } from './settings.ts'

export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`busbar-${payloadBytes}`)
  const redis = new Redis(url)
  const subject = await openBusbar(`${url.replace(/^redis/, 'bullmq')}?prefix=${prefix}`, payloadBytes)
  const close = async (): Promise<void> => {
    await subject.close()
    await remove(redis, prefix)
    redis.disconnect()
  }
  return { ...subject, close }
}
