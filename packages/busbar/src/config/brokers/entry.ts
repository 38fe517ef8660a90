import type { Broker } from '../../broker/index.ts'
import type { Entry, EntryUrl } from '../entry.ts'

/** What configuration knows of one kind of broker. See `Entry`. */
export type BrokerEntry = Entry<Broker>

export type BrokerUrl = EntryUrl
