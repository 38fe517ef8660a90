// Exits 0 if node_modules holds what package-lock.json names, else prints why not. Plain JavaScript for any Node >= 18.
import { existsSync, readFileSync } from 'node:fs'

const glibc = process.report.getReport().header.glibcVersionRuntime !== undefined

function whyNot() {
  const wanted = packagesOf('package-lock.json')
  if (!existsSync('node_modules/.package-lock.json')) return 'nothing is installed yet'
  const found = packagesOf('node_modules/.package-lock.json')
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/')) continue
    if (found[path] === undefined) {
      // npm leaves an optional package out where it does not fit, and also where it only thinks so (an old Node).
      if (!isOptional(entry) || isForThisSystem(entry)) return `${path} is missing`
      continue
    }
    if (entry.version !== found[path].version) return `${path} is not at ${entry.version}`
    if (!existsSync(path)) return `${path} is gone`
  }
  if (process.platform === 'linux' && !existsSync('node_modules/.bin/node'))
    return 'the Node of the project is not linked'
  return undefined
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

function isOptional(entry) {
  return entry.optional || entry.devOptional
}

/** Whether an optional package is a native part made for this very system. */
function isForThisSystem(entry) {
  if (entry.os === undefined || entry.cpu === undefined) return false
  const libc = entry.libc === undefined || has(entry.libc, glibc ? 'glibc' : 'musl')
  return has(entry.os, process.platform) && has(entry.cpu, process.arch) && libc
}

function has(names, name) {
  return [names].flat().includes(name)
}

const reason = whyNot()
if (reason !== undefined) {
  console.log(reason)
  process.exit(1)
}
