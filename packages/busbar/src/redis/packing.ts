import type { Field } from './wire.ts'

/** An entry on its way to a partition: names and values in turn. */
export interface Entry {
  readonly n: number
  /** Unix milliseconds; undefined: now. */
  readonly due: number | undefined
  readonly fields: readonly Field[]
}

/** Entries that follow each other and have the same names. */
interface Run {
  readonly shape: Shape
  readonly entries: Entry[]
}

/** What entries with the same names have in common. */
interface Shape {
  readonly index: number
  readonly delayed: boolean
  readonly first: readonly Field[]
  readonly entries: Entry[]
}

/**
 * Arguments of `busbarPublish` for entries: what all of those with the same names have in common goes once. Most of a message is
 * the same in all of a batch, and each argument is paid for three times: here, in the server, and in the script.
 *
 * The number of shapes, then for each shape: the number of its texts, whether it is delayed (1 or 0), the number of values of each
 * entry, the number of places where they go, for each of these the place and which value it is, and the texts. Then the runs: shape,
 * number of entries, and for each entry its partition, its due time where it is delayed, and its values.
 */
export function pack(entries: readonly Entry[]): Field[] {
  const { shapes, runs } = shapesOf(entries)
  const args: Field[] = [String(shapes.length)]
  const varying = shapes.map((shape) => {
    const places = varyingOf(shape)
    const values = places.filter(({ place, same }) => place === same).map(({ place }) => place)
    args.push(String(shape.first.length), shape.delayed ? '1' : '0', String(values.length), String(places.length))
    for (const { place, same } of places) args.push(String(place + 1), String(values.indexOf(same) + 1))
    const elsewhere = new Set(places.map(({ place }) => place))
    for (const [place, text] of shape.first.entries()) args.push(elsewhere.has(place) ? '' : text)
    return values
  })
  for (const { shape, entries: together } of runs) {
    const values = varying[shape.index] as number[]
    args.push(String(shape.index + 1), String(together.length))
    for (const { n, due, fields } of together) {
      args.push(String(n))
      if (due !== undefined) args.push(String(due))
      for (const place of values) args.push(fields[place] as Field)
    }
  }
  return args
}

function shapesOf(entries: readonly Entry[]): { readonly shapes: readonly Shape[]; readonly runs: readonly Run[] } {
  const shapes = new Map<string, Shape>()
  const runs: Run[] = []
  let run: Run | undefined
  for (const entry of entries) {
    if (run === undefined || !fits(entry, run.shape)) {
      run = { shape: shapeOf(entry, shapes), entries: [] }
      runs.push(run)
    }
    run.entries.push(entry)
    run.shape.entries.push(entry)
  }
  return { shapes: [...shapes.values()], runs }
}

function shapeOf(entry: Entry, shapes: Map<string, Shape>): Shape {
  const { fields, due } = entry
  const delayed = due !== undefined
  const names = JSON.stringify([delayed, ...fields.filter((_, place) => place % 2 === 0)])
  let shape = shapes.get(names)
  if (shape === undefined) shapes.set(names, (shape = { index: shapes.size, delayed, first: fields, entries: [] }))
  return shape
}

function fits({ fields, due }: Entry, { first, delayed }: Shape): boolean {
  if (fields.length !== first.length || (due !== undefined) !== delayed) return false
  for (let place = 0; place < fields.length; place += 2) if (fields[place] !== first[place]) return false
  return true
}

interface Varying {
  readonly place: number
  /** The first place that has the same value in every entry: its own, where there is no other. */
  readonly same: number
}

/** Places whose value is not the same in all entries. */
function varyingOf({ first, entries }: Shape): Varying[] {
  const places: Varying[] = []
  for (let place = 1; place < first.length; place += 2) {
    const value = first[place]
    if (entries.every(({ fields }) => fields[place] === value)) continue
    const same = places.find(
      (earlier) =>
        first[earlier.place] === value && entries.every(({ fields }) => fields[place] === fields[earlier.place]),
    )
    places.push({ place, same: same?.same ?? place })
  }
  return places
}
