import { appendingDefects } from './appending.ts'
import { checkpointDefects } from './checkpoints.ts'
import type { Defect } from './defect.ts'
import { durableDefects } from './durable.ts'
import { lateDefects } from './late.ts'
import { readingDefects } from './reading.ts'
import { tellingDefects } from './telling.ts'

export const defects: readonly Defect[] = [
  ...appendingDefects,
  ...readingDefects,
  ...lateDefects,
  ...tellingDefects,
  ...checkpointDefects,
  ...durableDefects,
]
