/** Keys as people write them: `items[2].price`, `headers["x y"]`; empty for the whole data. */
export function keyPath(keys: readonly PropertyKey[]): string {
  return keys.reduce<string>(step, '')
}

function step(parent: string, key: PropertyKey): string {
  if (typeof key === 'number' || (typeof key === 'string' && /^\d+$/.test(key))) return `${parent}[${key}]`
  const name = String(key)
  if (!/^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(name)) return `${parent}[${JSON.stringify(name)}]`
  return parent === '' ? name : `${parent}.${name}`
}
