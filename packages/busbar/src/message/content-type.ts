import type { Codec } from './codec.ts'
import { DecodeError } from './errors.ts'
import { JsonCodec } from './json-codec.ts'

/** Data that is bytes as a whole is its own body. */
export const BYTES = 'application/octet-stream'

const plainJson = new JsonCodec()

/**
 * What reads a body of this type: the bus's codec if it wrote it, JSON for every JSON type (as other writers name it).
 * @throws DecodeError for any other type.
 */
export function codecFor(contentType: string, codec: Codec): Codec {
  if (contentType === codec.contentType) return codec
  if (isJson(contentType) && !isProfiled(contentType)) return codec instanceof JsonCodec ? codec : plainJson
  throw new DecodeError(
    `the body is of type ${JSON.stringify(contentType.slice(0, 100))}, and the bus's codec reads ${codec.contentType}: ` +
      'give the bus the codec that the publisher uses',
  )
}

/** JSON, whatever its profile; so is a body without a type, as CloudEvents has it. */
export function isJson(contentType: string | undefined): boolean {
  const media = (contentType ?? '').toLowerCase().split(';', 1)[0]?.trim() ?? ''
  return media === '' || media === 'application/json' || media === 'text/json' || media.endsWith('+json')
}

/** A profile says that plain JSON is not all that it is. */
function isProfiled(contentType: string): boolean {
  return /;\s*profile\s*=/i.test(contentType)
}
