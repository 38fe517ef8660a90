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

export function summarize(error: unknown): ErrorSummary {
  if (!(error instanceof Error)) {
    return { name: 'NonError', message: cut(mask(describe(error)), MAX_MESSAGE) }
  }
  const summary = { name: String(error.name), message: cut(mask(String(error.message)), MAX_MESSAGE) }
  return typeof error.stack === 'string' ? { ...summary, stack: cut(mask(error.stack), MAX_STACK) } : summary
}

/** A thrown value that is no error: only its kind, unless it is a plain text (an object may hold a payload). */
function describe(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown
  if (thrown === null || thrown === undefined) return `${thrown} was thrown`
  return `a value of type ${typeof thrown} was thrown; throw an Error to see why`
}

function mask(text: string): string {
  let masked = text
  for (const [pattern, replacement] of SECRETS) masked = masked.replace(pattern, replacement)
  return masked
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length - length} more characters)`
}
