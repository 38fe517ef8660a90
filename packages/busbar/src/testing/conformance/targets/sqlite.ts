import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Broker } from '../../../broker/index.ts'
import { SqliteBroker } from '../../../sqlite/index.ts'
import type { TargetOptions } from '../target.ts'

/** A file for each namespace. */
function fileOf({ namespace }: TargetOptions): string {
  return join(tmpdir(), `busbar-conformance-${namespace}.db`)
}

export function createBroker(options: TargetOptions): Broker {
  return new SqliteBroker({ file: fileOf(options), ...(options.lease === undefined ? {} : { lease: options.lease }) })
}

export function cleanup(options: TargetOptions): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(fileOf(options) + suffix, { force: true })
}
