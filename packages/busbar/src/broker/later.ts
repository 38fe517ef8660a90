import type { Later, Verdict, VerdictListener } from './broker.ts'

/** Whether `deliver` gave back the promise of a verdict. */
export function isLater(answer: Verdict | Later): answer is Later {
  return 'then' in answer
}

/** Tells `listener` when the verdict comes, in the cheapest way there is. A promise that rejects, as none should, is a release. */
export function whenSettled(later: Later, listener: VerdictListener): void {
  if (later.listen !== undefined) later.listen(listener)
  else
    later.then(
      (verdict) => listener.settled(verdict),
      () => listener.settled({ release: true }),
    )
}
