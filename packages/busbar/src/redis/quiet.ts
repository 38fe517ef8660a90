/** Waits until nothing is with the handlers any more, or until the earliest deadline that anyone has set. */
export class Quiet {
  private readonly isQuiet: () => boolean
  private readonly timers = new Set<NodeJS.Timeout>()
  private readonly done = Promise.withResolvers<void>()
  private awaited = false

  constructor(isQuiet: () => boolean) {
    this.isQuiet = isQuiet
  }

  /** May be called again, with another deadline in milliseconds from now. Undefined: however long it takes. */
  reached(deadline: number | undefined): Promise<void> {
    this.awaited = true
    if (deadline !== undefined) this.timers.add(setTimeout(() => this.end(), deadline))
    this.check()
    return this.done.promise
  }

  /** Something has settled. */
  check(): void {
    if (this.awaited && this.isQuiet()) this.end()
  }

  private end(): void {
    for (const timer of this.timers) clearTimeout(timer)
    this.done.resolve()
  }
}
