import type { Schema, Validate } from './schema.ts'
import { validatorOf } from './schema.ts'

export function reviverOf(schema: Schema): Validate {
  return validatorOf(schema)
}
