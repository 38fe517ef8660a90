import { createHash } from 'node:crypto'
import { ConfigurationError, type ContractLike, definitionOf, type MessageOf } from '../message/index.ts'
import type { KnownEvent } from '../eventstore/index.ts'
import type { SqlModel } from './sql-model.ts'

/** What a projection makes of an event: it changes the read model. It may run again for the same event where its transaction was taken back. */
export type Apply<E, Model> = (recorded: E, model: Model) => unknown

/** The same for several that follow each other, in their order: those of one batch, of one append, or only one. */
export type ApplyMany<E, Model> = (recorded: readonly E[], model: Model) => unknown

/** Kinds of events and what becomes of them. Made by `when` and `whenMany`. */
export interface When<Model = SqlModel> {
  readonly contracts: readonly ContractLike[]
  /** Whether a call may be given more than one. */
  readonly many: boolean
  readonly apply: ApplyMany<KnownEvent, Model>
}

/** A read model made of events: which events, and what each of them changes. */
export interface Projection<Model = SqlModel> {
  readonly name: string
  /** Version of the definition: with a new one the model is built anew beside the old one. */
  readonly version: number
  readonly partitions: number
  readonly tables: Readonly<Record<string, TableDefinition>>
  readonly categories: readonly string[] | undefined
  readonly events: ReadonlyMap<string, When<Model>>
  readonly partitionBy: (recorded: KnownEvent) => string
  /** Of all that is declared: another one under the same version is refused. */
  readonly fingerprint: string
}

export interface TableDefinition {
  /** What stands between the brackets of CREATE TABLE: `order_id TEXT PRIMARY KEY, total INTEGER NOT NULL`. */
  readonly columns: string
  /** Columns of each index. */
  readonly indexes: readonly string[]
}

export interface ProjectionOptions<Model = SqlModel> {
  /** Letters, digits, `-` and `_`, at most 60. */
  readonly name: string
  /** Raise it with each change of what the projection does. Default 1. */
  readonly version?: number
  /**
   * Tables of the model, for SQL: columns as in CREATE TABLE, or with indexes. Readers query a view of the same name, which always shows
   * a whole model.
   */
  readonly tables?: Readonly<
    Record<string, string | { readonly columns: string; readonly indexes?: readonly string[] }>
  >
  /** Events of these categories of streams only. Default: all. */
  readonly categories?: readonly string[]
  readonly on: readonly When<Model>[]
  /** How many processes can share the work. Events of one partition are applied one after the other, in order. Default 1. */
  readonly partitions?: number
  /** Events with the same text are in the same partition. Default: the stream. */
  readonly partitionBy?: (recorded: KnownEvent) => string
}

/**
 * Says what becomes of the events of a contract.
 *
 * @example when(OrderPlaced, ({ event }, { run, table }) => run(`INSERT INTO ${table('totals')} VALUES (?, ?)`, [event.subject, event.data.total]))
 */
export function when<C extends ContractLike, Model = SqlModel>(
  contract: C,
  apply: Apply<KnownEvent<MessageOf<C>>, Model>,
): When<Model> {
  return {
    contracts: [contract],
    many: false,
    apply: ([recorded], model) => apply(recorded as KnownEvent<MessageOf<C>>, model),
  }
}

/**
 * Says what becomes of events of one contract or several, many at a time: one statement for all that follow each other is many times
 * faster than one for each. If it fails for them together, they are given one by one, so that the one that cannot be applied is found.
 *
 * @example whenMany([OrderPlaced, OrderPaid], (all, { run, table }) => {
 *   const rows = all.map(({ stream, event }) => [stream, event.type])
 *   return run(`INSERT INTO ${table('seen')} VALUES ${rows.map(() => '(?, ?)').join(', ')}`, rows.flat())
 * })
 */
export function whenMany<C extends ContractLike, Model = SqlModel>(
  contracts: C | readonly C[],
  apply: ApplyMany<KnownEvent<MessageOf<C>>, Model>,
): When<Model> {
  return {
    contracts: [contracts].flat() as C[],
    many: true,
    apply: apply as ApplyMany<KnownEvent, Model>,
  }
}

/**
 * Declares a projection.
 *
 * @example
 * const Totals = projection({
 *   name: 'totals',
 *   tables: { totals: 'order_id TEXT PRIMARY KEY, total INTEGER NOT NULL' },
 *   on: [when(OrderPlaced, ({ stream, event }, { run, table }) =>
 *     run(`INSERT INTO ${table('totals')} VALUES (?, ?)`, [stream, event.data.total]))],
 * })
 * @throws ConfigurationError naming what makes no sense.
 */
export function projection<Model = SqlModel>(options: ProjectionOptions<Model>): Projection<Model> {
  const { name, version = 1, partitions = 1, categories, on, partitionBy = ({ stream }) => stream } = options
  refuseUnless(/^[\w-]{1,60}$/.test(name), `a projection's name is 1 to 60 letters, digits, '-' and '_', not '${name}'`)
  wholeNumber(name, 'version', version)
  wholeNumber(name, 'partitions', partitions)
  refuseUnless(
    on.some(({ contracts }) => contracts.length > 0),
    `projection '${name}' handles no event: give it 'on: [when(…)]'`,
  )
  const events = new Map<string, When<Model>>()
  for (const each of on) {
    for (const { type, kind } of each.contracts.map(definitionOf)) {
      refuseUnless(kind === 'event', `projection '${name}': ${type} is a ${kind}, and stores keep events`)
      refuseUnless(!events.has(type), `projection '${name}' handles ${type} twice: put both into one 'when'`)
      events.set(type, each)
    }
  }
  const tables = Object.fromEntries(
    Object.entries(options.tables ?? {}).map(([table, given]) => [table, tableOf(name, table, given)]),
  )
  const declared = { events: [...events.keys()].toSorted(), tables, categories: categories ?? [], partitions }
  const fingerprint = createHash('sha256').update(JSON.stringify(declared)).digest('hex').slice(0, 16)
  return { name, version, partitions, tables, categories, events, partitionBy, fingerprint }
}

/** Of all events that it handles. */
export function contractsOf<Model>({ events }: Projection<Model>): readonly ContractLike[] {
  return [...new Set(events.values())].flatMap(({ contracts }) => contracts)
}

function tableOf(
  name: string,
  table: string,
  given: string | { readonly columns: string; readonly indexes?: readonly string[] },
): TableDefinition {
  refuseUnless(
    /^[a-z_][a-z0-9_]{0,39}$/.test(table),
    `projection '${name}': a table's name is 1 to 40 lower-case letters, digits and '_', not '${table}'`,
  )
  return typeof given === 'string' ? { columns: given, indexes: [] } : { indexes: [], ...given }
}

function wholeNumber(name: string, field: string, value: number): void {
  refuseUnless(
    Number.isSafeInteger(value) && value >= 1,
    `projection '${name}': ${field} is a whole number from 1, not ${value}`,
  )
}

function refuseUnless(right: boolean, message: string): void {
  if (!right) throw new ConfigurationError(message)
}
