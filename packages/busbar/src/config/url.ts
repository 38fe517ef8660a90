import { ConfigurationError } from '../message/errors.ts'
import type { Entry, EntryUrl } from './entry.ts'

/** What a URL can name: brokers or event storages, by type. */
export type Entries<Type extends string> = Readonly<Record<Type, Entry<unknown>>>

/** A URL taken apart: the kind of broker or storage, and the settings that the URL names. */
export interface Named<Type extends string> {
  readonly type: Type
  readonly given: Record<string, unknown>
}

/**
 * Whose URL this is and what it says. Busbar's own parameters become settings, those of the client stay in the URL.
 *
 * Taken apart by hand, because `new URL` knows no list of hosts (`kafka://a:9092,b:9092`). Errors never show more of a URL
 * than its scheme: it can hold a password.
 *
 * @param what `broker` or `store`, for errors.
 * @throws ConfigurationError with the schemes that there are.
 */
export function named<Type extends string>(what: string, entries: Entries<Type>, url: string): Named<Type> {
  const colon = url.indexOf(':')
  const scheme = colon === -1 ? '' : url.slice(0, colon).toLowerCase()
  const type = typeOf(entries, scheme)
  if (type === undefined) {
    const known = Object.values<Entry<unknown>>(entries).flatMap((each) => each.schemes.map((one) => `${one}:`))
    throw new ConfigurationError(
      `${what} URL '${colon === -1 ? url : `${scheme}:…`}' has an unknown scheme; known: ${known.join(', ')} (for example sqlite:orders.db)`,
    )
  }
  const entry = entries[type]
  const { fields, clientParameters = [] } = entry
  const rest = url.slice(colon + 1)
  const mark = rest.indexOf('?')
  const path = mark === -1 ? rest : rest.slice(0, mark)
  const own: Record<string, unknown> = {}
  const clients = new URLSearchParams()
  for (const [name, value] of new URLSearchParams(mark === -1 ? '' : rest.slice(mark + 1))) {
    if (clientParameters.includes(name)) {
      clients.append(name, value)
      continue
    }
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    // An unknown one is kept, so that the check of all settings names it with the known ones.
    own[name] = field === undefined ? value : (field.kind.parse(value) ?? value)
  }
  const href = `${scheme}:${path}${clients.size === 0 ? '' : `?${clients.toString()}`}`
  return { type, given: { ...entry.ofUrl({ scheme, path, href } satisfies EntryUrl), ...own } }
}

function typeOf<Type extends string>(entries: Entries<Type>, scheme: string): Type | undefined {
  const types = Object.keys(entries) as Type[]
  return types.find((type) => entries[type].schemes.includes(scheme))
}
