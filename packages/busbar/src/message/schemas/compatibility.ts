import { BusbarError, ConfigurationError } from '../errors.ts'
import { compareSchemas } from './compare.ts'
import type { Direction, Pair, SchemaBreak, SchemaUnknown } from './findings.ts'
import type { RegisteredSchema } from './registry.ts'

/**
 * What is promised between versions. BACKWARD: the newer one reads data of the older. FORWARD: the older one reads data of
 * the newer. FULL: both. Against the versions next to it, or, with _TRANSITIVE, against all. NONE: nothing is checked.
 *
 * A bus reads older versions through upcasters, and dead-letters data that is newer than its contract: FORWARD is for
 * readers that go by the schema alone, such as those in other languages.
 */
export type CompatibilityLevel =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE'

const DIRECTIONS: Readonly<Record<CompatibilityLevel, readonly Direction[]>> = {
  NONE: [],
  BACKWARD: ['backward'],
  BACKWARD_TRANSITIVE: ['backward'],
  FORWARD: ['forward'],
  FORWARD_TRANSITIVE: ['forward'],
  FULL: ['backward', 'forward'],
  FULL_TRANSITIVE: ['backward', 'forward'],
}

/** What was found out about one version of a contract. */
export interface CompatibilityResult {
  readonly type: string
  readonly version: number
  readonly level: CompatibilityLevel
  /**
   * `incompatible`: it breaks something. `not checkable`: it, or a version that it is compared with, has no schema.
   * `unknown`: part of it cannot be judged. `compatible`: none of these. `registered`: it was there before with this
   * schema, and was not compared again.
   */
  readonly verdict: 'compatible' | 'incompatible' | 'unknown' | 'not checkable' | 'registered'
  readonly breaks: readonly SchemaBreak[]
  readonly unknown: readonly SchemaUnknown[]
  /** What else is worth knowing, in sentences: what an upcaster accepts, where one is missing, why there is no schema. */
  readonly notes: readonly string[]
}

/**
 * Compares a version with those that are registered: with the next older and the next newer one, or, with _TRANSITIVE,
 * with all of them.
 *
 * @param why Why it has no schema, where it has none.
 * @throws ConfigurationError for an unknown level.
 */
export function checkCompatibility(
  entry: RegisteredSchema,
  others: readonly RegisteredSchema[],
  level: CompatibilityLevel,
  why = 'it has none',
): CompatibilityResult {
  if (!Object.hasOwn(DIRECTIONS, level)) {
    const known = Object.keys(DIRECTIONS).join(', ')
    throw new ConfigurationError(`'${String(level)}' is no level of compatibility; known: ${known}`)
  }
  const { type, version } = entry
  const breaks: SchemaBreak[] = []
  const unknown: SchemaUnknown[] = []
  const notes: string[] = []
  if (entry.schema === undefined) notes.push(`version ${version} has no JSON Schema: ${why}`)
  for (const other of level === 'NONE' ? [] : compared(entry, others, level.endsWith('_TRANSITIVE'))) {
    const [older, newer] = other.version < version ? [other, entry] : [entry, other]
    for (const direction of DIRECTIONS[level]) {
      const step = compareVersions(older, newer, direction)
      breaks.push(...step.breaks)
      unknown.push(...step.unknown)
      notes.push(...step.notes)
    }
  }
  const verdict = level === 'NONE' ? 'compatible' : verdictOf(entry, breaks, unknown)
  return { type, version, level, verdict, breaks, unknown, notes }
}

function verdictOf(
  entry: RegisteredSchema,
  breaks: readonly SchemaBreak[],
  unknown: readonly SchemaUnknown[],
): CompatibilityResult['verdict'] {
  if (breaks.length > 0) return 'incompatible'
  if (entry.schema === undefined || unknown.some((each) => each.keyword === '')) return 'not checkable'
  return unknown.length > 0 ? 'unknown' : 'compatible'
}

function compared(
  { version }: RegisteredSchema,
  others: readonly RegisteredSchema[],
  transitive: boolean,
): readonly RegisteredSchema[] {
  const older = others.filter((each) => each.version < version).toSorted((a, b) => b.version - a.version)
  const newer = others.filter((each) => each.version > version).toSorted((a, b) => a.version - b.version)
  return transitive ? [...older, ...newer] : [...older.slice(0, 1), ...newer.slice(0, 1)]
}

type Step = Pick<CompatibilityResult, 'breaks' | 'unknown' | 'notes'>

function compareVersions(older: RegisteredSchema, newer: RegisteredSchema, direction: Direction): Step {
  const pair: Pair = { older: older.version, newer: newer.version, direction }
  const step = compareBySchema(older, newer, pair)
  if (direction === 'forward') return step
  const way = `from version ${pair.older} to ${pair.newer}`
  if (newer.upcastsFrom > pair.older) {
    const missing = `there is no upcaster ${way}: a bus dead-letters data of version ${pair.older} unread, also where its schema fits`
    return { ...step, notes: [...step.notes, missing] }
  }
  if (step.breaks.length === 0 && step.unknown.length === 0) return step
  const accepted = [...step.breaks, ...step.unknown].map((each) => each.text).join('; ')
  return { breaks: [], unknown: [], notes: [...step.notes, `upcasters ${way} make good for: ${accepted}`] }
}

function compareBySchema(older: RegisteredSchema, newer: RegisteredSchema, pair: Pair): Step {
  if (older.schema === undefined || newer.schema === undefined) {
    const without = older.schema === undefined ? pair.older : pair.newer
    const text = `version ${without} has no JSON Schema, so versions ${pair.older} and ${pair.newer} are not checkable`
    return { breaks: [], unknown: [{ path: '', keyword: '', text, ...pair }], notes: [] }
  }
  const [reader, writer] = pair.direction === 'backward' ? [newer.schema, older.schema] : [older.schema, newer.schema]
  const { breaks, unknown } = compareSchemas(reader, writer, pair)
  return { breaks, unknown, notes: [] }
}

/** Contracts are not compatible with what is registered. Nothing of the call was registered. */
export class SchemaCompatibilityError extends BusbarError {
  override readonly name: string = 'SchemaCompatibilityError'
  /** One for each contract that was refused. */
  readonly results: readonly CompatibilityResult[]

  constructor(results: readonly CompatibilityResult[]) {
    const lines = results.flatMap(({ type, version, level, breaks, unknown, notes }) => {
      const found = [...breaks, ...unknown].map(({ text }) => text)
      const why = found.length > 0 ? found : notes
      return [`${type} version ${version} is not ${level} compatible:`, ...why.map((text) => `  - ${text}`)]
    })
    const backward = results.some(({ breaks }) => breaks.some((each) => each.breaks === 'backward'))
    const upcast = backward ? 'add upcasters from the older versions, ' : ''
    super(
      `${lines.join('\n')}\nNothing was registered: ${upcast}change the schema so that both versions fit, ` +
        'or declare a message of a new type beside the old one',
    )
    this.results = results
  }
}
