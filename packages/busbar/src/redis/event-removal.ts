import type { BrokerLogger } from '../broker/logger.ts'
import { ConcurrencyError, type Expected } from '../store/index.ts'
import { list, text } from './connection.ts'
import type { EventScripts } from './event-scripts.ts'

/** Events that are taken out by one script: others wait meanwhile. */
const AT_ONCE = '200'

/**
 * Events are gone for all readers with one small write, and are taken out after it, some at a time, so that a long stream does
 * not hold others up. Where its process dies in between, the next storage that starts goes on.
 */
export class EventRemoval {
  private readonly scripts: EventScripts
  private readonly logger: BrokerLogger

  constructor(scripts: EventScripts, logger: BrokerLogger) {
    this.scripts = scripts
    this.logger = logger
  }

  /** @throws ConcurrencyError */
  async delete(stream: string, expected: Expected, by = ''): Promise<void> {
    const [outcome, actual] = list(await this.scripts.run('busbarRemoveEvents', [stream, '', String(expected), by]))
    if (text(outcome) !== 'ok') {
      const revision = Number(text(actual))
      throw new ConcurrencyError(stream, revision === -1 ? 'exists' : expected, revision)
    }
    await this.sweep(stream)
  }

  /** Returns how many events are gone by it. */
  async truncate(stream: string, revision: number): Promise<number> {
    const before = String(Math.min(Math.max(0, Math.floor(revision)), Number.MAX_SAFE_INTEGER))
    const [outcome, gone] = list(await this.scripts.run('busbarRemoveEvents', [stream, before, '', '']))
    if (text(outcome) !== 'ok') return 0
    await this.sweep(stream)
    return Number(text(gone))
  }

  /** Goes on with what other storages began; in the background, since nobody sees it. */
  async goOn(ending: AbortSignal): Promise<void> {
    try {
      const { scripts } = this
      for (const stream of await scripts.again((redis) => redis.smembers(`${scripts.base}removing`))) {
        await this.sweep(stream)
      }
    } catch (error) {
      if (ending.aborted) return
      this.logger.warn({ err: String(error) }, 'removed events of the event store keep their room until the next start')
    }
  }

  private async sweep(stream: string): Promise<void> {
    while (Number(await this.scripts.run('busbarSweepEvents', [stream, AT_ONCE])) === 1);
  }
}
