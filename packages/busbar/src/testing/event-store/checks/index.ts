import type { StorageCheck } from '../check.ts'
import { checkpointChecks } from './checkpoints.ts'
import { expectedChecks } from './expected.ts'
import { lifecycleChecks } from './lifecycle.ts'
import { liveChecks } from './live.ts'
import { longChecks } from './long.ts'
import { orderChecks } from './order.ts'
import { raceChecks } from './races.ts'
import { readAllChecks } from './read-all.ts'
import { readStreamChecks } from './read-stream.ts'
import { removalChecks } from './removal.ts'
import { repeatChecks } from './repeat.ts'
import { restartChecks } from './restart.ts'
import { roundTripChecks } from './round-trip.ts'
import { severalChecks } from './several.ts'
import { transactionChecks } from './transactions.ts'

/** Every check there is, in the order in which a reader would want them. */
export const eventStoreChecks: readonly StorageCheck[] = [
  ...expectedChecks,
  ...repeatChecks,
  ...severalChecks,
  ...raceChecks,
  ...readStreamChecks,
  ...readAllChecks,
  ...orderChecks,
  ...liveChecks,
  ...roundTripChecks,
  ...removalChecks,
  ...checkpointChecks,
  ...transactionChecks,
  ...lifecycleChecks,
  ...restartChecks,
  ...longChecks,
]
