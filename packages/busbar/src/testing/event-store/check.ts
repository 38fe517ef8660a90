import type { StorageCapabilities } from '../../store/index.ts'
import type { CheckOf } from '../suite/check.ts'
import type { StorageContext } from './context.ts'
import type { StorageFaults } from './target.ts'

/** One thing that every event storage with the capabilities must do. */
export type StorageCheck = CheckOf<StorageContext, StorageCapabilities, keyof StorageFaults>
