/** A client of a service that is not well: the errors are made up, what follows them is not. */
import { createHash } from 'node:crypto'

/** The kind that the service refuses until it is repaired: wiki pages. */
export const BROKEN_TYPE = 'github.gollum'

/** The service did not take a message. Trying again can help, so it is an ordinary error. */
export class MirrorError extends Error {
  override readonly name = 'MirrorError'
  readonly status: number

  constructor(status: number, text: string) {
    super(`the mirror answered ${status} ${text}`)
    this.status = status
  }
}

export interface Call {
  readonly type: string
  /** Names the message; decides how often its call fails, the same in every process. */
  readonly name: string
  /** 1 for the first. */
  readonly attempt: number
}

export class MirrorClient {
  private working: boolean

  /** @param working Whether wiki pages are taken from the start. */
  constructor(working = false) {
    this.working = working
  }

  /** From now on wiki pages are taken. */
  repair(): void {
    this.working = true
  }

  /** From now on they are refused again. */
  break(): void {
    this.working = false
  }

  /** @throws MirrorError on the calls that fail. */
  async put({ type, name, attempt }: Call): Promise<void> {
    if (type === BROKEN_TYPE && !this.working) throw new MirrorError(503, 'wiki store unavailable')
    if (attempt <= failuresOf(name)) throw new MirrorError(429, 'too many requests')
  }
}

/** How many calls for a message fail: of 200, ten fail once, five twice and one four times, which is a redelivery. */
function failuresOf(name: string): number {
  const bucket = createHash('sha256').update(name).digest().readUInt16BE() % 200
  if (bucket < 10) return 1
  if (bucket < 15) return 2
  return bucket === 15 ? 4 : 0
}
