/** A message that was handed out to a group and is not settled: of the log, or one that was set aside. */
export interface OpenItem {
  /** Sequence in the log, or in the stream of what is set aside. */
  readonly seq: number
  /** Set for what was set aside. */
  readonly entry?: string
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
 * The open list as text: sequences, separated by spaces, `entry@sequence` for what was set aside; what is not all zero
 * follows after colons: `100 101:2:1:s l7@9`. It is written with every fetch, so the common case is short.
 */
export function encodeOpen(items: readonly OpenItem[]): string {
  return items.map(textOf).join(' ')
}

function textOf({ seq, entry, attempts, crashes, suspect, started }: OpenItem): string {
  const place = entry === undefined ? String(seq) : `${entry}@${seq}`
  if (attempts === 0 && crashes === 0 && !suspect) return place
  return `${place}:${attempts}:${crashes}${suspect ? (started ? ':x' : ':s') : ''}`
}

export function decodeOpen(text: string): OpenItem[] {
  if (text === '') return []
  return text.split(' ').map((item) => {
    const [place = '', attempts = '0', crashes = '0', mark] = item.split(':')
    const at = place.indexOf('@')
    return {
      seq: Number(place.slice(at + 1)),
      ...(at < 0 ? {} : { entry: place.slice(0, at) }),
      attempts: Number(attempts),
      crashes: Number(crashes),
      suspect: mark !== undefined,
      started: mark === 'x',
    }
  })
}

/**
 * What is left of a list whose member died. A run may have been cut off, so each counts as begun. A crash is counted
 * where it is known: for what was started alone, and where nothing else was out.
 */
export function afterCrash(items: readonly OpenItem[]): OpenItem[] {
  const alone = items.length === 1
  return items.map((item) => ({
    ...item,
    attempts: item.attempts + (item.suspect && !item.started ? 0 : 1),
    crashes: item.crashes + (item.started || (alone && !item.suspect) ? 1 : 0),
    suspect: true,
    started: false,
  }))
}
