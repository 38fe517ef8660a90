import { memory } from './memory/index.ts'
import { sqlite } from './sqlite/index.ts'

export const suites = { memory, sqlite } as const
export type SuiteName = keyof typeof suites
