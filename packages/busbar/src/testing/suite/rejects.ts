import assert from 'node:assert/strict'

/** Fails unless the call rejects with an error of this name (a class of it is as good). Returns the error. */
export async function rejects(call: () => Promise<unknown>, name: string, what: string): Promise<Error> {
  const outcome = await call().then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(outcome instanceof Error, `${what} did not reject`)
  assert.ok(named(outcome, name), `${what} rejected with ${outcome.name} and not with ${name}: ${outcome.message}`)
  return outcome
}

function named(error: Error, name: string): boolean {
  for (let proto: object | null = error; proto !== null; proto = Object.getPrototypeOf(proto) as object | null) {
    if (proto.constructor.name === name) return true
  }
  return error.name === name
}
