import type { Delivery, Later, Verdict } from '../broker/index.ts'
import type { Line } from './keys.ts'

/** Who decides when a turn runs. */
interface Host {
  /** A turn that ran has its verdict. */
  ended(turn: Turn): void
}

/**
 * One delivery in one member: it may wait, it runs, and it is settled once. It is itself the promise of its verdict: a
 * `Promise` and its callbacks would be six objects more for every message.
 */
export class Turn implements Later {
  readonly delivery: Delivery
  /** Of its key, if it has one. */
  readonly line: Line<Turn> | undefined
  /** When it began to wait, by the clock. */
  since = 0
  /** Undefined: not settled yet. */
  verdict: Verdict | undefined
  private readonly host: Host
  private listener: ((verdict: Verdict) => void) | undefined

  constructor(host: Host, delivery: Delivery, line: Line<Turn> | undefined) {
    this.host = host
    this.delivery = delivery
    this.line = line
  }

  /** It has run, to this verdict. What waits for its end begins before the broker is told. */
  settle(verdict: Verdict): void {
    this.host.ended(this)
    this.tell(verdict)
  }

  /** It is not run at all. */
  release(): void {
    this.tell({ release: true })
  }

  listen(settle: (verdict: Verdict) => void): void {
    const { verdict, listener } = this
    if (verdict !== undefined) settle(verdict)
    else if (listener === undefined) this.listener = settle
    else {
      this.listener = (told) => {
        listener(told)
        settle(told)
      }
    }
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise is what it is
  then<A = Verdict, B = never>(
    use?: ((verdict: Verdict) => A | PromiseLike<A>) | null,
    refuse?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return new Promise<Verdict>((resolve) => this.listen(resolve)).then(use, refuse)
  }

  private tell(verdict: Verdict): void {
    this.verdict = verdict
    this.listener?.(verdict)
  }
}
