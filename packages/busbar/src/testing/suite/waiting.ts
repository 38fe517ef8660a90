/**
 * Waiting for conditions. No check sleeps and hopes: what must happen is waited for with a generous deadline, so that a
 * slow machine makes a check slow and never wrong.
 */

/** Resolves once `condition` holds; rejects after `patience` milliseconds with what was awaited and what was there instead. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  patience: number,
): Promise<void> {
  const deadline = performance.now() + patience
  for (let pause = 1; ; pause = Math.min(pause * 2, 25)) {
    if (await condition()) return
    if (performance.now() > deadline) {
      throw new Error(`waited ${patience} ms in vain: ${typeof what === 'string' ? what : what()}`)
    }
    await sleep(pause)
  }
}

/** Rejects if `promise` has not settled after `patience` milliseconds. */
export async function within<T>(promise: Promise<T>, what: string, patience: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`did not happen within ${patience} ms: ${what}`)), patience)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Holds handlers until it is opened. */
export class Gate {
  readonly opened: Promise<void>
  readonly open: () => void

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.opened = promise
    this.open = resolve
  }
}
