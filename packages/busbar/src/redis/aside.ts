import type { DeadLetter, Failure } from '../broker/index.ts'
import { list, type Reply, text } from './connection.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import { fromFields } from './wire.ts'

/** What the hash of a message set aside says beside the message: see `scripts/prelude.ts`. */
type About = Readonly<Record<string, string>>

function aboutOf(fields: readonly Buffer[]): About {
  const about: Record<string, string> = {}
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as Buffer
    if (name[0] === 0x7e) about[name.toString('utf8')] = (fields[index + 1] as Buffer).toString('utf8')
  }
  return about
}

/** From a reply of `entry, handed, hash`. */
export function asideOf(reply: Reply, owner: DeliveryOwner, topic: string): HandedOut {
  const [name, handed, hash] = list(reply)
  const fields = list(hash) as readonly Buffer[]
  const about = aboutOf(fields)
  const place = about['~place'] ?? ''
  const { message, error } = fromFields(fields, place)
  const first = about['~first']
  return new HandedOut(owner, message, topic, {
    id: about['~origin'] ?? '',
    entry: text(name),
    place,
    lane: about['~lane'] === '' ? undefined : about['~lane'],
    attempts: Number(about['~attempts'] ?? 0),
    redeliveries: Number(about['~redeliveries'] ?? 0),
    crashes: Number(about['~crashes'] ?? 0),
    firstFailedAt: first === undefined || first === '' ? undefined : Number(first),
    suspect: text(handed) === '2',
    unreadable: error,
  })
}

/** From the hash of an entry; undefined where it is gone or no letter any more. */
export function letterOf(
  hash: readonly Buffer[],
  of: { readonly id: string; readonly group: string; readonly topic: string },
): DeadLetter | undefined {
  const about = aboutOf(hash)
  if (about['~state'] !== 'dead' && about['~state'] !== 'parked') return undefined
  const position = about['~place'] ?? ''
  return {
    ...of,
    position,
    message: fromFields(hash, position).message,
    failure: JSON.parse(about['~failure'] ?? 'null') as Failure,
    redeliveries: Number(about['~redeliveries'] ?? 0),
  }
}
