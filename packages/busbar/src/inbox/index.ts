export type { Inbox, InboxEntry, InboxTransaction } from '../transaction/inbox.ts'
export { inbox, type InboxOptions, type InboxSettings } from './inbox.ts'
export { type ClientOf, pgInbox } from './pg.ts'
export { sqliteInbox, type SqliteInboxSettings } from './sqlite.ts'
