import { MemoryEventStorage } from '../../../memory/event-storage.ts'
import type { EventStorage } from '../../../store/index.ts'

export function createStorage(): EventStorage {
  return new MemoryEventStorage()
}
