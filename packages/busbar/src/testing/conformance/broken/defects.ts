import { afterDefects } from './after-failure.ts'
import type { Defect } from './defect.ts'
import { deliveryDefects } from './delivery.ts'
import { groupDefects } from './groups.ts'
import { lifecycleDefects } from './lifecycle.ts'
import { messageDefects } from './messages.ts'
import { transactionDefects } from './transactions.ts'

export const defects: readonly Defect[] = [
  ...deliveryDefects,
  ...messageDefects,
  ...groupDefects,
  ...afterDefects,
  ...lifecycleDefects,
  ...transactionDefects,
]
