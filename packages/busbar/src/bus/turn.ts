import type { Delivery, Later, Verdict, VerdictListener } from '../broker/index.ts'
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
  private listener: VerdictListener | undefined

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

  listen(listener: VerdictListener): void {
    const { verdict, listener: before } = this
    if (verdict !== undefined) listener.settled(verdict)
    else if (before === undefined) this.listener = listener
    else {
      const settled = (told: Verdict): void => {
        before.settled(told)
        listener.settled(told)
      }
      this.listener = { settled }
    }
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise is what it is
  then<A = Verdict, B = never>(
    use?: ((verdict: Verdict) => A | PromiseLike<A>) | null,
    refuse?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return new Promise<Verdict>((settled) => this.listen({ settled })).then(use, refuse)
  }

  private tell(verdict: Verdict): void {
    this.verdict = verdict
    this.listener?.settled(verdict)
  }
}
