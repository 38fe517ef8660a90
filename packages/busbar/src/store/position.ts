/**
 * A place in the whole store, as text that sorts: of two events the later one has the greater position (`<`). Positions have
 * gaps, and those of different stores cannot be compared. `''` is before every event.
 */
export type Position = string

/** Before the first event of a store. */
export const BEGINNING: Position = ''
