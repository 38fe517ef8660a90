/** A broken broker as somebody's own module. */
import type { Broker } from '../packages/busbar/src/broker/index.ts'
import type { TargetOptions } from '../packages/busbar/src/testing/conformance/target.ts'
import { createBroker as broken, type Defect } from './broken.ts'

const defect: Defect = 'stores a batch in the wrong order'

export function createBroker(options: TargetOptions): Broker {
  return broken({ ...options, settings: { defect } })
}
