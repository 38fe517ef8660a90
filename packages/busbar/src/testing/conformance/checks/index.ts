import type { Check } from '../check.ts'
import { backPressureChecks } from './back-pressure.ts'
import { busDeliveryChecks } from './bus-delivery.ts'
import { busFailureChecks } from './bus-failure.ts'
import { crashChecks } from './crash.ts'
import { deadLetterChecks } from './dead-letters.ts'
import { delayChecks } from './delay.ts'
import { deliveryChecks } from './delivery.ts'
import { groupChecks } from './groups.ts'
import { lifecycleChecks } from './lifecycle.ts'
import { orderChecks } from './order.ts'
import { parkChecks } from './park.ts'
import { processChecks } from './processes.ts'
import { roundTripChecks } from './round-trip.ts'

/** Every check there is, in the order in which a reader would want them. */
export const allChecks: readonly Check[] = [
  ...deliveryChecks,
  ...roundTripChecks,
  ...orderChecks,
  ...groupChecks,
  ...backPressureChecks,
  ...delayChecks,
  ...deadLetterChecks,
  ...parkChecks,
  ...lifecycleChecks,
  ...crashChecks,
  ...busDeliveryChecks,
  ...busFailureChecks,
  ...processChecks,
]
