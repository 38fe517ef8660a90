/**
 * What `JSON.parse` alone does not guard against. Both checks look at the text first, because almost no message
 * needs more.
 */

/**
 * Removes fields with which a careless merge further on would change every object: `__proto__`, and `constructor`
 * with a `prototype` in it. Parsing itself never changes a prototype.
 */
export function withoutPrototypes(text: string, data: unknown): unknown {
  // A name may also be written with escapes, and every ASCII letter's escape begins with these four characters.
  if (text.includes('__proto__') || text.includes('"constructor"') || text.includes('\\u00')) strip(data)
  return data
}

/** Whether a field may come with a message. */
export function isUnsafe(name: string, value: unknown): boolean {
  if (name === '__proto__') return true
  return name === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
}

/** Iterative, because the text decides how deep it goes. */
function strip(data: unknown): void {
  const pending: unknown[] = [data]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value !== 'object' || value === null) continue
    const fields = value as Record<string, unknown>
    for (const name of Object.keys(fields)) {
      const child = fields[name]
      if (isUnsafe(name, child)) delete fields[name]
      else if (typeof child === 'object') pending.push(child)
    }
  }
}

/** How many objects and arrays begin in a text, counted up to just over `enough`; those in strings count too. */
export function openings(text: string, enough: number): number {
  if (text.length <= enough) return 0
  let found = 0
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1 && found <= enough; at = text.indexOf(bracket, at + 1)) found++
  }
  return found
}
