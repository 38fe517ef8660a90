import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { prefixOf, url } from './settings.ts'

export const open: Open = (payloadBytes) => {
  const prefix = prefixOf(`busbar-${payloadBytes}`)
  return openBusbar(`${url.replace(/^(rediss?):/, '$1+pubsub:')}?prefix=${prefix}`, payloadBytes, { broadcast: true })
}
