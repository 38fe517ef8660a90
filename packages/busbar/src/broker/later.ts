import type { Verdict } from './broker.ts'

/** Whether what `deliver` gave back is the promise of a verdict. It need not be a `Promise`: anything with `then` is one. */
export function isLater(answer: Verdict | PromiseLike<Verdict>): answer is PromiseLike<Verdict> {
  return 'then' in answer
}
