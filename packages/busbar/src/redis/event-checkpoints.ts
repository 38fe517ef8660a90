import type { Checkpoint, Checkpoints, Claim, Position } from '../store/index.ts'
import { list, text } from './connection.ts'
import type { EventScripts } from './event-scripts.ts'

/** Places of readers as hashes, claimed and fenced by scripts, by the server's clock. */
export class RedisCheckpoints implements Checkpoints {
  private readonly scripts: EventScripts

  constructor(scripts: EventScripts) {
    this.scripts = scripts
  }

  async claim(name: string, owner: string, milliseconds: number): Promise<Claim | undefined> {
    const reply = await this.scripts.run('busbarClaimCheckpoint', [name, owner, String(Math.ceil(milliseconds))])
    if (reply === null) return undefined
    const [token, position] = list(reply)
    return { name, owner, token: Number(text(token)), position: text(position) }
  }

  async advance({ name, owner, token }: Claim, position: Position): Promise<boolean> {
    return Number(await this.scripts.run('busbarAdvanceCheckpoint', [name, owner, String(token), position])) === 1
  }

  async release({ name, owner, token }: Claim): Promise<void> {
    await this.scripts.run('busbarReleaseCheckpoint', [name, owner, String(token)])
  }

  async get(name: string): Promise<Checkpoint | undefined> {
    const reply = await this.scripts.run('busbarGetCheckpoint', [name])
    if (reply === null) return undefined
    const [position, at, owner] = list(reply).map(text)
    const held = owner === '' || owner === undefined ? {} : { owner }
    return { name, position: position ?? '', updatedAt: Number(at), ...held }
  }

  async delete(name: string): Promise<boolean> {
    return Number(await this.scripts.run('busbarDropCheckpoint', [name])) === 1
  }
}
