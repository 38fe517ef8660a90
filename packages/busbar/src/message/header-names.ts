/**
 * Names of metadata as names of CloudEvents extensions, which are `a-z0-9` only, and back. Any name survives the trip.
 */
const KNOWN: Readonly<Record<string, string>> = {
  correlationId: 'correlationid',
  causationId: 'causationid',
  userId: 'userid',
  tenantId: 'tenantid',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
}

const KNOWN_BACK: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(KNOWN).map(([name, header]) => [header, name]),
)

/** Attributes that mean something else: metadata of the same name has to be escaped. */
const TAKEN: ReadonlySet<string> = new Set(
  [
    'specversion id type source subject time datacontenttype data',
    'kind dataversion revision priority partitionkey',
    Object.values(KNOWN).join(' '),
  ].flatMap((names) => names.split(' ')),
)

const ESCAPED = 'hx'

export function headerName(name: string): string {
  if (Object.hasOwn(KNOWN, name)) return KNOWN[name] as string
  if (/^[a-z0-9]{1,20}$/.test(name) && !TAKEN.has(name) && !name.startsWith(ESCAPED)) return name
  return ESCAPED + name.replace(/[^a-wyz0-9]+/gu, hex)
}

export function metadataName(header: string): string {
  if (Object.hasOwn(KNOWN_BACK, header)) return KNOWN_BACK[header] as string
  const escaped = header.startsWith(ESCAPED) ? header.slice(ESCAPED.length) : ''
  // A name that Busbar did not write is left as it is.
  if (!/^(?:[a-wyz0-9]|x[0-9a-f]{2})+$/.test(escaped)) return header
  return escaped.replace(/(?:x[0-9a-f]{2})+/g, (run) => Buffer.from(run.replaceAll('x', ''), 'hex').toString('utf8'))
}

function hex(text: string): string {
  return [...Buffer.from(text, 'utf8')].map((byte) => `x${byte.toString(16).padStart(2, '0')}`).join('')
}
