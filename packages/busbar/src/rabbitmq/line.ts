import type { HandedOut } from './delivery.ts'
import { SUSPECT_ALONE, type Wanting, type Window } from './window.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20
/** Milliseconds that a clock of another machine may be behind: what comes before its time waits here. */
const MOST_SKEW = 2_000

/** Milliseconds before it is asked again whether a suspect of another group runs. */
const BLAMED_PAUSE = 50

/** What stands in front of a line. */
export interface LineHost {
  readonly window: Window
  /** Everything of the partition that is not settled. */
  readonly open: ReadonlySet<HandedOut>
  handOut(delivery: HandedOut): void
  /** Stores that a suspect begins. */
  begin(delivery: HandedOut): Promise<void>
}

/** What a partition has in memory and has not handed out, in the order of its queue. */
export class Line implements Wanting {
  /** In order. */
  held: HandedOut[] = []
  /** False: nothing is handed out. */
  moving = false
  private readonly host: LineHost
  private notBefore = 0
  private timer: NodeJS.Timeout | undefined

  constructor(host: LineHost) {
    this.host = host
  }

  add(delivery: HandedOut): void {
    this.held.push(delivery)
    if (this.moving) this.host.window.want(this)
  }

  begin(): void {
    this.moving = true
    this.host.window.want(this)
  }

  end(): void {
    this.moving = false
    clearTimeout(this.timer)
    this.timer = undefined
    for (const delivery of this.held) if (delivery.marking !== undefined) this.host.window.forget(delivery)
  }

  /** It was released: back to its place, and again in a moment. Nothing overtakes it. */
  putBack(delivery: HandedOut): void {
    delivery.state = 'held'
    this.held.push(delivery)
    this.held.sort((a, b) => a.tag - b.tag)
    this.notBefore = performance.now() + RELEASE_PAUSE
    if (this.moving) this.host.window.want(this)
  }

  handOutOne(): boolean {
    const [head] = this.held
    if (head === undefined || !this.moving || !this.mayGo(head)) return false
    this.held.shift()
    this.host.handOut(head)
    return this.held.length > 0
  }

  private mayGo(head: HandedOut): boolean {
    const { window, open } = this.host
    const pause = this.notBefore - performance.now()
    if (pause > 0) return this.wait(pause)
    const early = head.due > 0 ? head.due - Date.now() : 0
    if (early > 0 && early < MOST_SKEW) return this.wait(early)
    if (window.hasSuspect((one) => one !== head && open.has(one))) return this.standBehind()
    if (!head.suspect || head.unreadable !== undefined) return true
    if (window.hasOtherSuspect(head)) return this.standBehind()
    if (!window.mayRun(head)) return this.wait(BLAMED_PAUSE)
    if (head.marking === 'stored') return true
    if (head.marking === undefined) {
      head.marking = 'storing'
      // Of two whose starts are being stored at once, both would be blamed for the death of one.
      window.reserve(head)
      void this.host.begin(head).then(() => {
        head.marking = 'stored'
        this.host.window.want(this)
      })
    }
    return false
  }

  /** A suspect runs: until it is through, or has run so long that it counts as harmless. */
  private standBehind(): false {
    this.host.window.standBehind(this)
    return this.wait(SUSPECT_ALONE / 4)
  }

  private wait(ms: number): false {
    this.timer ??= setTimeout(
      () => {
        this.timer = undefined
        if (this.moving) this.host.window.want(this)
      },
      Math.ceil(ms) + 1,
    )
    return false
  }
}
