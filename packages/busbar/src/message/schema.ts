import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { ValidationIssue } from './errors.ts'

/** Any Standard Schema: Zod, Valibot, ArkType and others. `In` is what it takes, `Out` what it makes of it. */
export type Schema<In = unknown, Out = In> = StandardSchemaV1<In, Out>

/** What a schema says of one value: the data that it makes of it, or all that is wrong. */
export type Outcome = { readonly data: unknown } | { readonly issues: readonly ValidationIssue[] }

/** Synchronous wherever the schema is. */
export type Validate = (data: unknown) => Outcome | Promise<Outcome>

const unchecked: Schema = {
  '~standard': { version: 1, vendor: 'busbar', validate: (value) => ({ value }) },
}

/**
 * A schema that checks nothing: only the type is declared, as for messages of your own process.
 * The bus recognises it and skips validation altogether.
 *
 * @example const OrderPlaced = event('OrderPlaced', typed<{ orderId: string }>())
 */
export function typed<T>(): Schema<T> {
  return unchecked as Schema<T>
}

/** The check that a schema stands for; `undefined` for `typed()`, which checks nothing. */
export function validatorOf(schema: Schema | undefined): Validate | undefined {
  if (schema === undefined || schema === unchecked) return undefined
  const standard = schema['~standard']
  return (data) => {
    const result = standard.validate(data)
    return result instanceof Promise ? result.then(outcomeOf) : outcomeOf(result)
  }
}

function outcomeOf(result: StandardSchemaV1.Result<unknown>): Outcome {
  if (result.issues === undefined) return { data: result.value }
  return { issues: result.issues.map((issue) => ({ message: issue.message, path: pathText(keysOf(issue)) })) }
}

/** The keys that lead to the offending value. */
export function keysOf(issue: StandardSchemaV1.Issue): readonly PropertyKey[] {
  return (issue.path ?? []).map((step) => (typeof step === 'object' ? step.key : step))
}

/** Keys as people write them: `items[2].price`, `headers["x y"]`. */
export function pathText(keys: readonly PropertyKey[]): string {
  let text = ''
  for (const key of keys) text = childPath(text, key)
  return text
}

/** The path of one step further down. */
export function childPath(parent: string, key: PropertyKey): string {
  if (typeof key === 'number' || (typeof key === 'string' && /^\d+$/.test(key))) return `${parent}[${key}]`
  const name = String(key)
  if (!/^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(name)) return `${parent}[${JSON.stringify(name)}]`
  return parent === '' ? name : `${parent}.${name}`
}
