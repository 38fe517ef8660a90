import type { Check } from '../check.ts'
import { attemptChecks } from './attempts.ts'
import { backPressureChecks } from './back-pressure.ts'
import { broadcastChecks } from './broadcast.ts'
import { busDeliveryChecks } from './bus-delivery.ts'
import { busFailureChecks } from './bus-failure.ts'
import { crashChecks } from './crash.ts'
import { deadLetterChecks } from './dead-letters.ts'
import { delayChecks } from './delay.ts'
import { deliveryChecks } from './delivery.ts'
import { groupChecks } from './groups.ts'
import { lifecycleChecks } from './lifecycle.ts'
import { operationChecks } from './operation.ts'
import { orderChecks } from './order.ts'
import { parkChecks } from './park.ts'
import { processChecks } from './processes.ts'
import { redriveChecks } from './redrive.ts'
import { roundTripChecks } from './round-trip.ts'
import { transactionChecks } from './transactions.ts'

/** Every check there is, in the order in which a reader would want them. */
export const conformanceChecks: readonly Check[] = [
  ...deliveryChecks,
  ...roundTripChecks,
  ...orderChecks,
  ...groupChecks,
  ...broadcastChecks,
  ...backPressureChecks,
  ...delayChecks,
  ...transactionChecks,
  ...deadLetterChecks,
  ...redriveChecks,
  ...parkChecks,
  ...lifecycleChecks,
  ...operationChecks,
  ...crashChecks,
  ...attemptChecks,
  ...busDeliveryChecks,
  ...busFailureChecks,
  ...processChecks,
]
