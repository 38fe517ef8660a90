/** Lets one user at a time in, in the order in which they asked. */
export class Lock {
  private held = false
  private readonly waiting: (() => void)[] = []

  /** True: it is yours, release it. */
  tryAcquire(): boolean {
    if (this.held) return false
    this.held = true
    return true
  }

  acquire(): Promise<void> {
    if (this.tryAcquire()) return Promise.resolve()
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  release(): void {
    const next = this.waiting.shift()
    if (next === undefined) this.held = false
    else next()
  }
}
