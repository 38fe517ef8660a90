import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'

/** The least that can be done in memory: an array to wait in, and a call of the async handler with the payload itself. */
export const open: Open = async (payloadBytes) => {
  const tally = new Tally()
  const payload = payloads(payloadBytes)
  const handler = async (_message: Payload): Promise<void> => tally.add()
  let waiting: Payload[] | undefined
  const accept = async (message: Payload): Promise<void> => {
    if (waiting === undefined) await handler(message)
    else waiting.push(message)
  }
  const one = (n: number): Promise<void> => accept(payload(n))
  const batch = async (from: number, count: number): Promise<void> => {
    for (let n = from; n < from + count; n++) await accept(payload(n))
  }
  const away = async (): Promise<void> => {
    waiting = []
  }
  const back = async (): Promise<void> => {
    const messages = waiting ?? []
    waiting = undefined
    for (const message of messages) await handler(message)
  }
  return { tally, one, window: together(one), batch, line: { away, back }, close: async () => {} }
}
