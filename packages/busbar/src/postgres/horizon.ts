/** The epoch that the session writes and reads in (`epoch.ts`). */
const EPOCH = `COALESCE(NULLIF(current_setting('busbar.epoch', true), ''), busbar_epoch())`

/** Before everything that the oldest open transaction (`pg_snapshot_xmin`), or the next one (`pg_snapshot_xmax`), writes. */
export function positionOf(end: 'pg_snapshot_xmin' | 'pg_snapshot_xmax'): string {
  return `(${EPOCH} || '.' || lpad(to_hex(${end}(pg_current_snapshot())::text::int8), 14, '0')) COLLATE "C"`
}

/** What is before it is committed, or will never be: a scalar subquery, so that it is computed once for a statement. */
export const HORIZON = `(SELECT ${positionOf('pg_snapshot_xmin')})`
