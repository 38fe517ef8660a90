import type { Codec, CodecLimits } from './codec.ts'

/** JSON. (Filled in shortly.) */
export class JsonCodec implements Codec {
  readonly contentType = 'application/json'

  constructor(limits: CodecLimits = {}) {
    void limits
  }

  encode(data: unknown): string {
    return JSON.stringify(data)
  }

  decode(body: string | Uint8Array): unknown {
    return JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body)) as unknown
  }

  snapshot(data: unknown): unknown {
    return JSON.parse(JSON.stringify(data)) as unknown
  }
}
