import type { Position } from '../sql/dialect.ts'

/**
 * A position is the text `epoch.xid.number`, each in hexadecimal of a fixed length, so that texts in the order of their
 * bytes are positions in order: by epoch (see `epoch.ts`), then by the id of the transaction that wrote the message, then
 * by a number from a sequence. `epoch.xid` alone is before everything that the transaction wrote.
 */
const XID_FROM = 5
const NUMBER_FROM = 20
const DIGITS = 14

/**
 * The open list keeps of each position what differs from the one before: the number where the transaction is the same,
 * `xid/number` where the epoch is, else all of it as it is.
 */
export function encodePositions(positions: readonly Position[]): string[] {
  let [epoch, xid, number] = ['', 0, 0]
  return positions.map((position) => {
    const text = position as string
    const at = partsOf(text)
    const same = at.epoch === epoch
    const short = (at.number - number).toString(36)
    const encoded = !same ? text : at.xid === xid ? short : `${(at.xid - xid).toString(36)}/${short}`
    ;({ epoch, xid, number } = at)
    return encoded
  })
}

export function decodePositions(texts: readonly string[]): Position[] {
  let [epoch, xid, number] = ['', 0, 0]
  return texts.map((text) => {
    if (text.length >= NUMBER_FROM && text[XID_FROM - 1] === '.') {
      ;({ epoch, xid, number } = partsOf(text))
      return text
    }
    const [first = '', second] = text.split('/')
    if (second !== undefined) xid += Number.parseInt(first, 36)
    number += Number.parseInt(second ?? first, 36)
    return `${epoch}.${hex(xid)}.${hex(number)}`
  })
}

function partsOf(position: string): { readonly epoch: string; readonly xid: number; readonly number: number } {
  return {
    epoch: position.slice(0, XID_FROM - 1),
    xid: Number.parseInt(position.slice(XID_FROM, NUMBER_FROM - 1), 16),
    number: Number.parseInt(position.slice(NUMBER_FROM), 16),
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(DIGITS, '0')
}
