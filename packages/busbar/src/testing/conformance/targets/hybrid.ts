import type { Broker } from '../../../broker/index.ts'
import { partitionOf } from '../../../broker/partitioning.ts'
import { HybridBroker } from '../../../hybrid/index.ts'
import type { EndFault, TargetFaults, TargetOptions } from '../target.ts'
import * as sqlite from './sqlite.ts'

/** Two SQLite files; half of the keys go each way. */
function sides(options: TargetOptions): readonly [TargetOptions, TargetOptions] {
  return [
    { ...options, namespace: `${options.namespace}-l` },
    { ...options, namespace: `${options.namespace}-r` },
  ]
}

export function createBroker(options: TargetOptions): Broker {
  const [local, remote] = sides(options)
  return new HybridBroker({
    local: sqlite.createBroker(local),
    remote: sqlite.createBroker(remote),
    routing: ({ key, id }) => (partitionOf(key ?? id, 2) === 0 ? 'local' : 'remote'),
  })
}

export function cleanup(options: TargetOptions): void {
  for (const side of sides(options)) sqlite.cleanup(side)
}

export const faults: TargetFaults = {
  failDeadLetters: (options) => onBoth(options, async (side) => sqlite.faults.failDeadLetters?.(side)),
  interrupt: (options) => onBoth(options, async (side) => sqlite.faults.interrupt?.(side)),
}

async function onBoth(
  options: TargetOptions,
  fault: (side: TargetOptions) => Promise<EndFault | undefined>,
): Promise<EndFault> {
  const ends = await Promise.all(sides(options).map((side) => fault(side)))
  return async () => {
    for (const end of ends) await end?.()
  }
}
