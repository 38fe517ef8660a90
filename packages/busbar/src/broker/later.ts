import type { Later, Verdict } from './broker.ts'

/** Whether `deliver` gave back the promise of a verdict. */
export function isLater(answer: Verdict | Later): answer is Later {
  return 'then' in answer
}

/** Calls `settle` when the verdict comes, in the cheapest way there is. A promise that rejects, as none should, is a release. */
export function whenSettled(later: Later, settle: (verdict: Verdict) => void): void {
  if (later.listen !== undefined) later.listen(settle)
  else later.then(settle, () => settle({ release: true }))
}
