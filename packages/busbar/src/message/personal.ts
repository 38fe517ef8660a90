import type { ValidationIssue } from './errors.ts'

/**
 * What is wrong with data, without personal data: some schema libraries quote the offending value in their messages,
 * and these go into logs and dead letters.
 *
 * @param personal Dot paths, where an index may be left out or written `*`: `customer.email`, `guests.*.name`.
 */
export function withoutPersonal(
  issues: readonly ValidationIssue[],
  personal: readonly string[],
): readonly ValidationIssue[] {
  if (personal.length === 0) return issues
  const paths = personal.map(withoutIndexes)
  return issues.map((issue) => {
    const path = withoutIndexes(issue.path)
    const hidden = paths.some((one) => path === one || path.startsWith(`${one}.`))
    return hidden ? { path: issue.path, message: 'is not valid (personal data, not shown)' } : issue
  })
}

function withoutIndexes(path: string): string {
  return path
    .replace(/\[(?:\d+|\*)?\]/g, '')
    .split('.')
    .filter((name) => name !== '*' && !/^\d+$/.test(name))
    .join('.')
}
