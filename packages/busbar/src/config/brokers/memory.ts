import type { MemoryBrokerOptions } from '../../memory/index.ts'
import { ConfigurationError } from '../../message/errors.ts'
import { code, count } from '../fields.ts'
import type { BrokerEntry } from './entry.ts'

export interface MemoryConfig {
  readonly type: 'memory'
  readonly memory?: MemoryBrokerOptions
}

export const memory: BrokerEntry = {
  schemes: ['memory'],
  example: 'memory:',
  fields: {
    maxMessageBytes: { kind: count(1, 'bytes'), env: 'BUSBAR_MEMORY_MAX_MESSAGE_BYTES' },
    clock: { kind: code },
  },
  ofUrl({ path }) {
    if (path.replaceAll('/', '') === '') return {}
    throw new ConfigurationError(`broker URL 'memory:' takes no path; write 'memory:'`)
  },
  async load(settings) {
    const { MemoryBroker } = await import('../../memory/index.ts')
    return new MemoryBroker(settings)
  },
}
