// Exits 0 if node_modules holds what package-lock.json names, else prints why not. Plain JavaScript for any Node >= 18.
import { existsSync, readFileSync } from 'node:fs'

function why() {
  const wanted = packagesOf('package-lock.json')
  if (!existsSync('node_modules/.package-lock.json')) return 'nothing is installed yet'
  const found = packagesOf('node_modules/.package-lock.json')
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/')) continue
    // Optional ones are left out where they do not fit the system; the Node of this system is not optional.
    const optional =
      (entry.optional || entry.devOptional) && path !== `node_modules/node-${process.platform}-${process.arch}`
    if (found[path] === undefined && optional) continue
    if (found[path] === undefined) return `${path} is missing`
    if (entry.version !== found[path].version) return `${path} is not at ${entry.version}`
    if (!existsSync(path)) return `${path} is gone`
  }
  return undefined
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

const reason = why()
if (reason !== undefined) {
  console.log(reason)
  process.exit(1)
}
