/** Bytes of fields that are decoded in one go. Their texts may share memory, so that whoever keeps one keeps no more than this. */
const MOST_AT_ONCE = 4_096

/**
 * Fields as texts, read one after the other. Those of one reply lie behind each other in what was received: decoding them in one
 * go, with the signs between them, costs a fraction of a call for each.
 */
export class Texts {
  private readonly fields: readonly Buffer[]
  /** Where in `all` the memory of the first field begins. */
  private readonly start: number
  /** Undefined: each is decoded by itself. */
  private readonly all: string | undefined

  constructor(fields: readonly Buffer[]) {
    this.fields = fields
    const [first] = fields
    this.start = first?.byteOffset ?? 0
    this.all = first === undefined ? undefined : decodedTogether(fields, first)
  }

  at(index: number): string {
    const field = this.fields[index] as Buffer
    const { all } = this
    if (all === undefined) return field.toString('utf8')
    const from = field.byteOffset - this.start
    return all.slice(from, from + field.length)
  }

  /** Whether the text is exactly that, without making it. */
  is(index: number, text: string): boolean {
    const field = this.fields[index] as Buffer
    const { all } = this
    if (all === undefined) return field.toString('utf8') === text
    return field.length === text.length && all.startsWith(text, field.byteOffset - this.start)
  }
}

/** Only where each byte is one character, so that places are the same in the text: that of nearly all messages. */
function decodedTogether(fields: readonly Buffer[], first: Buffer): string | undefined {
  const { buffer, byteOffset: start } = first
  let end = start
  for (const field of fields) {
    if (field.buffer !== buffer || field.byteOffset < end) return undefined
    end = field.byteOffset + field.length
  }
  if (end - start > MOST_AT_ONCE) return undefined
  const text = Buffer.from(buffer, start, end - start).toString('utf8')
  return text.length === end - start ? text : undefined
}
