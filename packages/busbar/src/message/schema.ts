import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { ValidationIssue } from './errors.ts'
import { keyPath } from './path.ts'

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

/** Whether there is anything to check: not for `typed()`. */
export function checks(schema: Schema | undefined): schema is Schema {
  return schema !== undefined && schema !== unchecked
}

/** The check that a schema stands for. */
export function validatorOf(schema: Schema): Validate {
  const standard = schema['~standard']
  return (data) => {
    const result = standard.validate(data)
    return result instanceof Promise ? result.then(outcomeOf) : outcomeOf(result)
  }
}

export function outcomeOf(result: StandardSchemaV1.Result<unknown>): Outcome {
  return result.issues === undefined ? { data: result.value } : { issues: issuesOf(result.issues) }
}

/** Copied with `Array.from`: ArkType's lists are subclasses of Array, whose `map` makes something else. */
export function issuesOf(issues: readonly StandardSchemaV1.Issue[]): readonly ValidationIssue[] {
  return Array.from(issues, (issue) => ({ message: issue.message, path: keyPath(keysOf(issue)) }))
}

/** The keys that lead to the offending value. */
export function keysOf(issue: StandardSchemaV1.Issue): readonly PropertyKey[] {
  return Array.from(issue.path ?? [], (step) => (typeof step === 'object' ? step.key : step))
}
