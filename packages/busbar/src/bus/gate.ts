import type { Outgoing } from '../broker/index.ts'

/**
 * Where the messages of one publish call meet after their middleware: they are sent together, in the order of the call,
 * once each has arrived or was dropped. If one is refused, none is sent.
 */
export class Gate {
  private readonly arrived: (Outgoing | undefined)[]
  private readonly send: (outgoing: readonly Outgoing[]) => Promise<void>
  private open: number
  private readonly sent: Promise<void>
  private resolve: (value: Promise<void>) => void = () => {}
  private reject: (error: unknown) => void = () => {}

  constructor(count: number, send: (outgoing: readonly Outgoing[]) => Promise<void>) {
    this.arrived = Array.from({ length: count })
    this.open = count
    this.send = send
    this.sent = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // The one who reads the outcome is `pass`; here it must only not count as unhandled.
    this.sent.catch(() => {})
  }

  /** Sends `chain(0)`, `chain(1)` … through their middleware; resolves when all that arrived are confirmed. */
  async pass(chain: (index: number) => Promise<void>): Promise<void> {
    if (this.open === 0) return
    const passed = this.arrived.map((_, index) =>
      chain(index).then(
        () => this.settle(index),
        (error: unknown) => this.reject(error),
      ),
    )
    await Promise.all([this.sent, ...passed])
  }

  /** The message at `index` has passed; resolves when it is confirmed. */
  arrive(index: number, outgoing: Outgoing): Promise<void> {
    this.arrived[index] = outgoing
    this.settle(index)
    return this.sent
  }

  private readonly settled = new Set<number>()

  private settle(index: number): void {
    if (this.settled.has(index)) return
    this.settled.add(index)
    if (--this.open === 0) this.resolve(this.send(this.arrived.filter((each) => each !== undefined)))
  }
}
