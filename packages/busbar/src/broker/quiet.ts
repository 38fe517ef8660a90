/** Waits until nothing is with the handlers any more, or until the earliest deadline that anyone has set. */
export class Quiet {
  private readonly isQuiet: () => boolean
  private readonly timers = new Set<NodeJS.Timeout>()
  private finish: (() => void) | undefined
  private done: Promise<void> | undefined

  constructor(isQuiet: () => boolean) {
    this.isQuiet = isQuiet
  }

  /** May be called again, with another deadline in milliseconds from now. Undefined: however long it takes. */
  reached(deadline: number | undefined): Promise<void> {
    this.done ??= new Promise((resolve) => {
      this.finish = resolve
    })
    if (deadline !== undefined) this.timers.add(setTimeout(() => this.end(), deadline))
    this.check()
    return this.done
  }

  /** Something has settled. */
  check(): void {
    if (this.finish !== undefined && this.isQuiet()) this.end()
  }

  private end(): void {
    for (const timer of this.timers) clearTimeout(timer)
    this.finish?.()
  }
}
