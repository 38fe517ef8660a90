/**
 * What a statement is made of where a `?` means something else than a parameter: texts ('…', and E'…' with backslashes), names
 * ("…"), comments, and dollar quotes ($tag$…$tag$).
 */
const QUOTED =
  /\b[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|(\$[A-Za-z_]*\$)[\s\S]*?\1/g

/** The statement in pieces, cut at its `?` placeholders: one piece more than there are parameters. */
export function pieces(sql: string): readonly string[] {
  if (!sql.includes('?')) return [sql]
  const found: string[] = ['']
  const add = (text: string): void => {
    const [first = '', ...more] = text.split('?')
    found.push(found.pop() + first, ...more)
  }
  let at = 0
  for (const { 0: quoted, index } of sql.matchAll(QUOTED)) {
    add(sql.slice(at, index))
    found.push((found.pop() ?? '') + quoted)
    at = index + quoted.length
  }
  add(sql.slice(at))
  return found
}

const numberedBefore = new Map<string, string>()

/** With `$1`, `$2` … instead of `?`, as Postgres wants them. */
export function numbered(sql: string): string {
  const known = numberedBefore.get(sql)
  if (known !== undefined) return known
  const made = pieces(sql).reduce((text, piece, index) => `${text}$${index}${piece}`)
  // Statements come from programs, so there are few; but not from a program that writes values into them.
  if (numberedBefore.size >= 1_000) numberedBefore.clear()
  numberedBefore.set(sql, made)
  return made
}
