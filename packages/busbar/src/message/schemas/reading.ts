import type { Findings } from './findings.ts'
import type { JsonSchema } from './json-schema.ts'

/** One place of a comparison: who reads, who wrote, and how to go on below it. */
export interface Reading {
  readonly found: Findings
  readonly readerRoot: JsonSchema
  readonly writerRoot: JsonSchema
  /** Whether the reader takes everything that the writer may write there. */
  reads(reader: JsonSchema, writer: JsonSchema, path: string): void
  /** The same, found apart: for alternatives. */
  trial(attempt: (reading: Reading) => void): Findings
}

export function propertyAt(path: string, name: string): string {
  if (!/^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(name)) return `${path}[${JSON.stringify(name)}]`
  return path === '' ? name : `${path}.${name}`
}
