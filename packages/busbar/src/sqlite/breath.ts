/** Milliseconds of work after which timers and input get their turn. */
const LONGEST_STRETCH = 8

/**
 * `node:sqlite` does its work before it returns, so a loop that awaits one statement after another never lets the event
 * loop turn: no timer fires, no heartbeat is sent, no other socket is read. After a while one of them has to wait for it.
 */
export class Breath {
  private since: number | undefined

  /** Has the event loop not turned for too long? */
  get isDue(): boolean {
    const now = performance.now()
    if (this.since === undefined) {
      this.since = now
      // Cleared by the next turn, whoever brings it about.
      setImmediate(() => (this.since = undefined)).unref()
      return false
    }
    return now - this.since > LONGEST_STRETCH
  }

  take(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }
}
