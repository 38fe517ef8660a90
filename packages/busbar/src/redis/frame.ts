import { createHash } from 'node:crypto'
import type { Command, Redis } from 'ioredis'
import { together } from '../ioredis/together.ts'
import type { Reply } from './connection.ts'

/** The class of the client's commands, loaded with the client. */
export type CommandClass = typeof Command

/**
 * The call of a script with very many text arguments, as it goes over the wire (RESP). The client would look at each argument four
 * times; that is what publishing a batch would mostly consist of.
 */
export class Frame {
  private readonly pieces: string[] = []
  private readonly count: number

  constructor(args: readonly string[]) {
    this.count = args.length
    for (const arg of args) this.pieces.push(`$${Buffer.byteLength(arg)}`, arg)
  }

  /** `*<count>`, then each argument after its length. */
  after(args: readonly string[]): string {
    const head = args.flatMap((arg) => [`$${Buffer.byteLength(arg)}`, arg])
    return [`*${args.length + this.count}`, ...head, this.pieces.join('\r\n'), ''].join('\r\n')
  }
}

/** A script that is called by frames. */
export class FramedScript {
  private readonly lua: string
  private readonly keys: number
  private readonly sha: string

  constructor({ lua, numberOfKeys }: { readonly lua: string; readonly numberOfKeys: number }) {
    this.lua = lua
    this.keys = numberOfKeys
    this.sha = createHash('sha1').update(lua).digest('hex')
  }

  /**
   * `args`: the keys and what comes before the arguments of the frame. `sent` is called whenever it was sent: what that sends over the
   * same connection leaves with it, and is carried out after it.
   */
  async run(
    redis: Redis,
    Class: CommandClass,
    args: readonly string[],
    frame: Frame,
    sent: () => void = () => {},
  ): Promise<Reply> {
    const send = (name: 'EVALSHA' | 'EVAL', script: string): Promise<Reply> => {
      const written = frame.after([name, script, String(this.keys), ...args])
      return together(redis, () => {
        const reply = sendWritten(redis, Class, name, written)
        sent()
        return reply
      })
    }
    try {
      return await send('EVALSHA', this.sha)
    } catch (error) {
      if (!String(error).includes('NOSCRIPT')) throw error
    }
    // The server knows it from then on.
    return send('EVAL', this.lua)
  }

  /** Sends its text along. Nothing has to be loaded, so that of several on their way none is carried out before those before it. */
  evaluate(redis: Redis, Class: CommandClass, frame: Frame): Promise<Reply> {
    return sendWritten(redis, Class, 'EVAL', frame.after(['EVAL', this.lua, String(this.keys)]))
  }
}

function sendWritten(redis: Redis, Class: CommandClass, name: string, written: string): Promise<Reply> {
  const command = new Class(name.toLowerCase())
  command.toWritable = () => written
  return redis.sendCommand(command) as Promise<Reply>
}
