/** Counts what a handler was given, and tells at once when it is enough. */
export class Tally {
  count = 0
  private target = -1
  private reached: () => void = () => {}

  add(): void {
    if (++this.count === this.target) this.reached()
  }

  /** Calls back in the very call of `add` that makes the count `target`. One target at a time. */
  at(target: number, reached: () => void): void {
    this.target = target
    this.reached = reached
    if (this.count >= target) reached()
  }

  /** Resolves when the count is at least `target`. */
  reach(target: number): Promise<void> {
    return new Promise((resolve) => this.at(target, resolve))
  }
}
