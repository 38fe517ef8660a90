/**
 * An error as it may be kept and logged: name, message and stack, cut to a length, without credentials.
 *
 * Only what an error itself says is kept: never the message's data. URLs lose their password, and values that follow a
 * telling name (`password=…`, `token: …`, `Bearer …`) are masked. Personal data that a handler writes into its own
 * error text is beyond this; the docs say so.
 */
export interface ErrorSummary {
  readonly name: string
  readonly message: string
  readonly stack?: string
}

const MAX_MESSAGE = 1_000
const MAX_STACK = 8_000

const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s@/]+@/gi, '$1:***@'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 ***'],
  [
    /\b((?:pass(?:word|wd)?|secret|token|api[_-]?key|authorization)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)/gi,
    '$1***',
  ],
]

/** Never throws, whatever was thrown: a failure that cannot be told of has to be settled all the same. */
export function summarize(error: unknown): ErrorSummary {
  try {
    if (!(error instanceof Error)) return { name: 'NonError', message: readable(describe(error), MAX_MESSAGE) }
    const summary = { name: String(error.name), message: readable(String(error.message), MAX_MESSAGE) }
    return typeof error.stack === 'string' ? { ...summary, stack: readable(error.stack, MAX_STACK) } : summary
  } catch {
    return { name: 'NonError', message: 'something was thrown whose name or text cannot be read' }
  }
}

/** A thrown value that is no error: only its kind, unless it is a plain text (an object may hold a payload). */
function describe(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown
  if (thrown === null || thrown === undefined) return `${thrown} was thrown`
  return `a value of type ${typeof thrown} was thrown; throw an Error to see why`
}

/** Masked, and cut to a length. */
function readable(text: string, length: number): string {
  // Not all of a text of megabytes is looked through; enough that nothing is left that is masked only in part.
  let masked = text.slice(0, length * 4)
  for (const [pattern, replacement] of SECRETS) masked = masked.replace(pattern, replacement)
  const shown = masked.slice(0, length)
  return text.length <= length ? shown : `${shown}… (${text.length - length} more characters)`
}
