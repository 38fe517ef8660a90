/**
 * What a group commits of one partition: the offset up to which everything is settled, and in the commit's metadata what is
 * behind it.
 *
 * A member hands out what is below `grant` without asking; the grant is part of every commit and reaches a window beyond
 * what was handed out. So nothing has to be written before a message is handed out, and yet a successor knows all that may
 * have been: what is open, and what lies between `handed` and `grant`.
 */
export interface Place {
  /** Everything below is settled. */
  readonly offset: number
  /** It was given up in order: nothing of it is with a handler any more. */
  readonly clean: boolean
  /** What is below and not in `open` is settled. */
  readonly handed: number
  /** What is below may have been handed out. */
  readonly grant: number
  /** Handed out and not settled, in the order of the log; then what was set aside. */
  readonly open: readonly OpenItem[]
}

/** A message that was handed out and is not settled. */
export interface OpenItem {
  /** Offset in the log, or among what is set aside. */
  readonly offset: number
  readonly aside: boolean
  /** Runs that have begun, so far as is known. */
  readonly attempts: number
  /** Runs that died with their process. */
  readonly crashes: number
  /** It was out when a process died: handed out alone, with its start stored first. */
  readonly suspect: boolean
  /** A suspect that has been handed out. */
  readonly started: boolean
}

const VERSION = 'b1'

/**
 * As text of at most `limit` bytes: `b1 o 5 64 0-4 7:2:1:x @9` is owned, handed out up to 5 and granted up to 64 beyond the
 * offset, 0 to 4 are open, 7 has two attempts and a crash and was started alone, 9 of what is set aside is open. Numbers
 * are of base 36. What has no room is left to the grant: it counts as possibly handed out.
 */
export function encode({ offset, clean, handed, grant, open }: Place, limit: number): string {
  const parts: string[] = []
  const end = (upTo: number): string =>
    [VERSION, clean ? 'c' : 'o', number(upTo - offset), number(grant - offset), ...parts].join(' ')
  let length = end(handed).length + 8
  for (let at = 0; at < open.length; at++) {
    const item = open[at] as OpenItem
    const from = at
    while (isPlain(item) && continues(open[at], open[at + 1])) at++
    const last = (open[at] as OpenItem).offset
    const text = at > from ? `${number(item.offset - offset)}-${number(last - offset)}` : textOf(item, offset)
    length += text.length + 1
    if (length <= limit) parts.push(text)
    else if (item.aside) break
    else return end(item.offset)
  }
  return end(handed)
}

/** Undefined: somebody else wrote it, so nothing is open. */
export function decode(offset: number, metadata: string): Place | undefined {
  const [version, state, handed, grant, ...items] = metadata.split(' ')
  if (version !== VERSION || handed === undefined || grant === undefined) return undefined
  const open = items.flatMap((text): OpenItem[] => {
    const [place = '', attempts = '0', crashes = '0', mark] = text.split(':')
    const [first = '', last = first] = place.replace('@', '').split('-')
    const aside = place.startsWith('@')
    const base = aside ? 0 : offset
    const item = {
      offset: base + value(first),
      aside,
      attempts: value(attempts),
      crashes: value(crashes),
      suspect: mark !== undefined,
      started: mark === 'x',
    }
    return Array.from({ length: base + value(last) - item.offset + 1 }, (_, n) => ({
      ...item,
      offset: item.offset + n,
    }))
  })
  return { offset, clean: state === 'c', handed: offset + value(handed), grant: offset + value(grant), open }
}

/**
 * What a successor has to hand out again of a place that was not given up in order. A run may have been cut off, so each counts
 * as begun; a crash is counted where it is known, for what was started alone. `end`: where the log ended then.
 */
export function afterCrash({ handed, grant, open }: Place, end: number): readonly OpenItem[] {
  const known = open.map((item) => ({
    ...item,
    attempts: item.attempts + (item.suspect && !item.started ? 0 : 1),
    crashes: item.crashes + (item.started ? 1 : 0),
    suspect: true,
    started: false,
  }))
  const perhaps = Array.from({ length: Math.max(0, Math.min(grant, end) - handed) }, (_, n) => ({
    offset: handed + n,
    aside: false,
    attempts: 1,
    crashes: 0,
    suspect: true,
    started: false,
  }))
  return [...known.filter(({ aside }) => !aside), ...perhaps, ...known.filter(({ aside }) => aside)]
}

function isPlain({ aside, attempts, crashes, suspect }: OpenItem): boolean {
  return !aside && attempts === 0 && crashes === 0 && !suspect
}

function continues(one: OpenItem | undefined, next: OpenItem | undefined): boolean {
  return one !== undefined && next !== undefined && isPlain(next) && next.offset === one.offset + 1
}

function textOf(item: OpenItem, base: number): string {
  const { offset, aside, attempts, crashes, suspect, started } = item
  const place = aside ? `@${number(offset)}` : number(offset - base)
  if (attempts === 0 && crashes === 0 && !suspect) return place
  return `${place}:${number(attempts)}:${number(crashes)}${suspect ? (started ? ':x' : ':s') : ''}`
}

function number(n: number): string {
  return n.toString(36)
}

function value(text: string): number {
  return Number.parseInt(text, 36) || 0
}
