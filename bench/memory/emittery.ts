import Emittery from 'emittery'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'

export const open: Open = async (payloadBytes) => {
  const tally = new Tally()
  const emitter = new Emittery<{ orderPlaced: Payload }>()
  emitter.on('orderPlaced', async () => tally.add())
  const payload = payloads(payloadBytes)
  const one = (n: number): Promise<void> => emitter.emit('orderPlaced', payload(n))
  return { tally, one, window: together(one), close: async () => emitter.clearListeners() }
}
