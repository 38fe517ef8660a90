/** How SQLite syncs, for Busbar and the raw baseline alike. */
export const SYNCHRONOUS = 'normal'
