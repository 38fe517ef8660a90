/** Backward: the new version reads data of the old one. Forward: the old version reads data of the new one. */
export type Direction = 'backward' | 'forward'

/** One change that keeps data of one version from being read by the other. */
export interface SchemaBreak {
  /** Where in the data: `customer.email`, `lines[].price`, `totals.*`; empty for the whole data. */
  readonly path: string
  /** What was done to the schema, from the older version to the newer: `became required`, `type string → number`. */
  readonly change: string
  readonly breaks: Direction
  /** Path, change and consequence in one sentence. */
  readonly text: string
  readonly older: number
  readonly newer: number
}

/** Something that cannot be judged. It is never counted as compatible. */
export interface SchemaUnknown {
  readonly path: string
  /** The keyword; empty where a whole version has no schema. */
  readonly keyword: string
  readonly direction: Direction
  readonly text: string
  readonly older: number
  readonly newer: number
}

/** Which versions are compared, and who reads whom. */
export interface Pair {
  readonly older: number
  readonly newer: number
  readonly direction: Direction
}

/** What a comparison finds, told from the older version to the newer. */
export class Findings {
  readonly breaks: SchemaBreak[] = []
  readonly unknown: SchemaUnknown[] = []
  readonly pair: Pair

  constructor(pair: Pair) {
    this.pair = pair
  }

  get clean(): boolean {
    return this.breaks.length === 0 && this.unknown.length === 0
  }

  /** The version whose data is read. */
  get writer(): string {
    return `version ${this.pair.direction === 'backward' ? this.pair.older : this.pair.newer}`
  }

  get reader(): string {
    return `version ${this.pair.direction === 'backward' ? this.pair.newer : this.pair.older}`
  }

  /** The words for a change when reader and writer are the newer or the older version: see `change`. */
  either(backward: string, forward: string): string {
    return this.pair.direction === 'backward' ? backward : forward
  }

  /** `minLength none → 5`: first the older version's, then the newer one's. */
  change(what: string, reader: unknown, writer: unknown): string {
    const [was, now] = this.pair.direction === 'backward' ? [writer, reader] : [reader, writer]
    return `${what} ${said(was)} → ${said(now)}`
  }

  /** @param data What data of the writer may be: `may lack it`. */
  break(path: string, change: string, data: string): void {
    const refusal = this.pair.direction === 'forward' ? `, which ${this.reader} refuses` : ''
    const text = `${path === '' ? 'data' : path}: ${change}; data of ${this.writer} ${data}${refusal}`
    if (this.breaks.some((each) => each.text === text)) return
    const { older, newer, direction } = this.pair
    this.breaks.push({ path, change, breaks: direction, text, older, newer })
  }

  cannotJudge(path: string, keyword: string, why: string): void {
    const text = `${path === '' ? 'data' : path}: ${why}; whether ${this.reader} reads data of ${this.writer} is unknown`
    if (this.unknown.some((each) => each.text === text)) return
    this.unknown.push({ path, keyword, text, ...this.pair })
  }

  add(other: Findings): void {
    for (const each of other.breaks) if (!this.breaks.some(({ text }) => text === each.text)) this.breaks.push(each)
    for (const each of other.unknown) if (!this.unknown.some(({ text }) => text === each.text)) this.unknown.push(each)
  }
}

function said(value: unknown): string {
  if (value === undefined) return 'none'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** A few values for people. */
export function shown(values: readonly unknown[]): string {
  const few = values.slice(0, 5).map((value) => JSON.stringify(value).slice(0, 60))
  return values.length > few.length ? `${few.join(', ')} and ${values.length - few.length} more` : few.join(', ')
}
