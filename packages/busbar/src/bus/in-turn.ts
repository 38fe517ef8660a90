/**
 * Keeps the order of calls where some of them take a while to get ready (a schema or a key that is waited for): whatever is
 * called later, and be it ready at once, goes behind them.
 */
export class InTurn {
  #last: Promise<unknown> | undefined

  /** Whether something is still getting ready, so that whoever comes now has to wait for it. */
  get busy(): boolean {
    return this.#last !== undefined
  }

  /** Calls `go` when `ready` has come and all before it have gone or failed; resolves as `go` does. What fails holds up nobody. */
  async pass<T>(ready: T | PromiseLike<T>, go: (ready: T) => Promise<void>): Promise<void> {
    const before = this.#last
    const gone = (async () => {
      const [mine] = await Promise.all([ready, before])
      // Wrapped: the next one waits until this has gone, not until it has arrived.
      return { arriving: go(mine) }
    })()
    const marker = gone.then(
      () => {},
      () => {},
    )
    this.#last = marker
    void marker.then(() => {
      if (this.#last === marker) this.#last = undefined
    })
    await (
      await gone
    ).arriving
  }
}
