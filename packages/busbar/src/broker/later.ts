import type { Verdict } from './broker.ts'

/** The promise of a verdict. It need not be a `Promise`: anything with `then` is one. */
export interface Later extends PromiseLike<Verdict> {
  /** As `then`, but without a promise of what `settle` makes of it, and called at once when the verdict comes, not in a later microtask. */
  listen?(settle: (verdict: Verdict) => void): void
}

/** Whether `deliver` gave back the promise of a verdict. */
export function isLater(answer: Verdict | Later): answer is Later {
  return 'then' in answer
}

/** Calls `settle` when the verdict comes, in the cheapest way there is. A promise that rejects, as none should, is a release. */
export function whenSettled(later: Later, settle: (verdict: Verdict) => void): void {
  if (later.listen !== undefined) later.listen(settle)
  else later.then(settle, () => settle({ release: true }))
}
