import type { EventStorage } from '../../store/index.ts'
import type { Entry } from '../entry.ts'

/** What configuration knows of one kind of event storage. See `Entry`. */
export type StoreEntry = Entry<EventStorage>
