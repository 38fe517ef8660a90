import type { Dialect, Position } from './dialect.ts'

/** A message of the log that was handed out to a group and is not settled. */
export interface OpenItem {
  readonly position: Position
  /** Runs that have begun, so far as is known. */
  readonly attempts: number
  /** Runs that died with their process. */
  readonly crashes: number
  /** It was out when a process died: handed out alone, with its start stored first. */
  readonly suspect: boolean
  /** A suspect that has been handed out. */
  readonly started: boolean
}

/**
 * The open list as text: the positions, separated by spaces; what is not all zero follows its position after colons:
 * `100 1 3:2:1:s`. It is written with every fetch, so the common case costs two or three bytes a message.
 */
export function encodeOpen(items: readonly OpenItem[], dialect: Dialect): string {
  const texts = dialect.encodePositions(items.map((item) => item.position))
  for (const [index, item] of items.entries()) {
    if (item.attempts === 0 && item.crashes === 0 && !item.suspect) continue
    const mark = item.suspect ? (item.started ? ':x' : ':s') : ''
    texts[index] += `:${item.attempts}:${item.crashes}${mark}`
  }
  return texts.join(' ')
}

export function decodeOpen(text: string, dialect: Dialect): OpenItem[] {
  if (text === '') return []
  const parts = text.split(' ').map((item) => item.split(':'))
  const positions = dialect.decodePositions(parts.map((part) => part[0] as string))
  return parts.map(([, attempts = '0', crashes = '0', mark], index) => ({
    position: positions[index] as Position,
    attempts: Number(attempts),
    crashes: Number(crashes),
    suspect: mark !== undefined,
    started: mark === 'x',
  }))
}

/**
 * What is left of a list whose member died. A run may have been cut off, so each counts as begun. A crash is counted
 * where it is known: for what was started alone, and where nothing else was out (`alone`).
 */
export function afterCrash(items: readonly OpenItem[], alone: boolean): OpenItem[] {
  return items.map((item) => ({
    position: item.position,
    attempts: item.attempts + (item.suspect && !item.started ? 0 : 1),
    crashes: item.crashes + (item.started || (alone && !item.suspect) ? 1 : 0),
    suspect: true,
    started: false,
  }))
}
