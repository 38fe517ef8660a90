import type { MemoryEventStorageOptions } from '../../memory/index.ts'
import { ConfigurationError } from '../../message/errors.ts'
import { code, count } from '../fields.ts'
import type { StoreEntry } from './entry.ts'

export interface MemoryStoreConfig {
  readonly type: 'memory'
  readonly memory?: MemoryEventStorageOptions
}

export const memory: StoreEntry = {
  schemes: ['memory'],
  example: 'memory:',
  fields: {
    maxEventBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_STORE_MEMORY_MAX_EVENT_BYTES' },
    clock: { kind: code },
  },
  ofUrl({ path }) {
    if (path.replaceAll('/', '') === '') return {}
    throw new ConfigurationError(`store URL 'memory:' takes no path; write 'memory:'`)
  },
  async load(settings) {
    const { MemoryEventStorage } = await import('../../memory/index.ts')
    return new MemoryEventStorage(settings)
  },
}
