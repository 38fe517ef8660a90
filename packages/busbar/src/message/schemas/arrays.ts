import { isNever, isSchema, type JsonSchema, type Keywords } from './json-schema.ts'
import type { Reading } from './reading.ts'
import { schemasIn, type Shape } from './shapes.ts'

export function checkArray(reading: Reading, reader: Keywords, shape: Shape, path: string): void {
  const { found } = reading
  const writer = shape.keywords
  if (shape.values !== undefined) {
    const keyword = ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'].find(
      (each) => reader[each] !== undefined,
    )
    if (keyword !== undefined)
      found.cannotJudge(path, keyword, `whether constant lists fit '${keyword}' cannot be judged`)
    return
  }
  if ([reader['items'], writer['items']].some(Array.isArray)) {
    return found.cannotJudge(path, 'items', `'items' as a list is of an older draft: write 'prefixItems'`)
  }
  const { minItems, maxItems, uniqueItems } = reader
  const most = longest(writer)
  if (numberOf(writer['minItems'], 0) < numberOf(minItems, 0)) {
    found.break(path, found.change('minItems', minItems, writer['minItems']), 'may have fewer items')
  }
  if (most > numberOf(maxItems, Infinity)) {
    found.break(path, found.change('maxItems', maxItems, writer['maxItems']), 'may have more items')
  }
  if (uniqueItems === true && writer['uniqueItems'] !== true && most > 1) {
    found.break(path, found.change('uniqueItems', true, writer['uniqueItems'] ?? false), 'may repeat an item')
  }
  const places = Math.max(schemasIn(reader['prefixItems']).length, schemasIn(writer['prefixItems']).length)
  for (let place = 0; place < places && place < most; place++) {
    reading.reads(itemAt(reader, place), itemAt(writer, place), `${path}[${place}]`)
  }
  if (places < most) reading.reads(itemAt(reader, places), itemAt(writer, places), `${path}[]`)
}

function itemAt(schema: Keywords, place: number): JsonSchema {
  const own = schemasIn(schema['prefixItems'])[place]
  const { items } = schema
  return own ?? (isSchema(items) ? items : true)
}

function longest(writer: Keywords): number {
  const prefix = schemasIn(writer['prefixItems'])
  const never = prefix.findIndex(isNever)
  const { items } = writer
  const end = never !== -1 ? never : isSchema(items) && isNever(items) ? prefix.length : Infinity
  return Math.min(numberOf(writer['maxItems'], Infinity), end)
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
