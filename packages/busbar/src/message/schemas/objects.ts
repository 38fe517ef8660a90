import { refers, textOf } from './canonical.ts'
import { isKeywords, isNever, isSchema, type JsonSchema, type Keywords } from './json-schema.ts'
import { propertyAt, type Reading } from './reading.ts'
import { type Shape, strings } from './shapes.ts'

export function checkObject(reading: Reading, reader: Keywords, shape: Shape, path: string): void {
  const { found } = reading
  const writer = shape.keywords
  if (shape.values !== undefined) {
    const judged = ['properties', 'required', 'additionalProperties', 'propertyNames', 'minProperties', 'maxProperties']
    const keyword = judged.find((each) => reader[each] !== undefined)
    if (keyword !== undefined)
      found.cannotJudge(path, keyword, `whether constant objects fit '${keyword}' cannot be judged`)
    return
  }
  checkRequired(reading, reader, writer, path)
  checkCounts(reading, reader, writer, path)
  if (
    textOf(reader['patternProperties']) !== textOf(writer['patternProperties']) ||
    refers(reader['patternProperties'])
  ) {
    return found.cannotJudge(path, 'patternProperties', `changed 'patternProperties' cannot be judged`)
  }
  checkProperties(reading, reader, writer, path)
  checkNames(reading, reader, writer, path)
}

function checkProperties(reading: Reading, reader: Keywords, writer: Keywords, path: string): void {
  const { found } = reading
  const known = schemasOf(reader['properties'])
  const written = schemasOf(writer['properties'])
  const others = othersOf(writer)
  const rest = reader['additionalProperties']
  for (const [name, schema] of written) {
    const own = known.get(name)
    const at = propertyAt(path, name)
    if (own !== undefined) reading.reads(own, schema, at)
    else if (isNever(schema)) continue
    else if (rest === false) closed(reading, at)
    else if (isSchema(rest)) reading.reads(rest, schema, at)
  }
  if (others === undefined) return
  for (const [name, schema] of known) if (!written.has(name)) reading.reads(schema, others, propertyAt(path, name))
  const anywhere = path === '' ? '*' : `${path}.*`
  if (rest === false) {
    found.break(
      anywhere,
      found.either('other properties are no longer allowed', 'other properties are allowed now'),
      'may hold others',
    )
  } else if (isSchema(rest)) reading.reads(rest, others, anywhere)
}

function closed({ found }: Reading, at: string): void {
  const change = found.either('was removed', 'was added')
  found.break(at, change, `may hold it, and ${found.reader} allows no other properties`)
}

/** Properties beside the declared ones: only where the schema says that there are any. */
function othersOf(writer: Keywords): JsonSchema | undefined {
  const others = writer['additionalProperties']
  return isSchema(others) && !isNever(others) ? others : undefined
}

function checkRequired({ found }: Reading, reader: Keywords, writer: Keywords, path: string): void {
  const sure = new Set(strings(writer['required']))
  const written = schemasOf(writer['properties'])
  for (const name of strings(reader['required'])) {
    if (sure.has(name)) continue
    const change = written.has(name)
      ? found.either('became required', 'became optional')
      : found.either('was added as required', 'was removed')
    found.break(propertyAt(path, name), change, written.has(name) ? 'may lack it' : 'lacks it')
  }
}

function checkCounts({ found }: Reading, reader: Keywords, writer: Keywords, path: string): void {
  const { minProperties, maxProperties } = reader
  const least = Math.max(numberOf(writer['minProperties'], 0), strings(writer['required']).length)
  const declared = othersOf(writer) === undefined && writer['patternProperties'] === undefined
  const most = Math.min(
    numberOf(writer['maxProperties'], Infinity),
    declared ? schemasOf(writer['properties']).size : Infinity,
  )
  if (least < numberOf(minProperties, 0)) {
    found.break(path, found.change('minProperties', minProperties, writer['minProperties']), 'may hold fewer')
  }
  if (most > numberOf(maxProperties, Infinity)) {
    found.break(path, found.change('maxProperties', maxProperties, writer['maxProperties']), 'may hold more')
  }
}

function checkNames(reading: Reading, reader: Keywords, writer: Keywords, path: string): void {
  const names = reader['propertyNames']
  if (!isSchema(names) || names === true) return
  const declared = [...schemasOf(writer['properties']).keys()]
  const at = `${path === '' ? '*' : `${path}.*`} (name)`
  if (declared.length > 0) reading.reads(names, { enum: declared }, at)
  if (othersOf(writer) === undefined && writer['patternProperties'] === undefined) return
  const written = writer['propertyNames']
  reading.reads(names, { allOf: [{ type: 'string' }, isSchema(written) ? written : true] }, at)
}

function schemasOf(value: unknown): ReadonlyMap<string, JsonSchema> {
  const entries = isKeywords(value) ? Object.entries(value) : []
  return new Map(entries.filter((entry): entry is [string, JsonSchema] => isSchema(entry[1])))
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
