/**
 * What npm runs before it packs `packages/busbar`: a build from nothing, so that no file of an earlier build is shipped,
 * beside the README and licence of the workspace (copies, not kept in git).
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const library = join(root, 'packages/busbar')

rmSync(join(library, 'dist'), { recursive: true, force: true })
const built = spawnSync('tsc', ['-p', join(library, 'tsconfig.build.json')], { stdio: 'inherit' })
if (built.status !== 0) process.exit(1)
for (const file of ['README.md', 'LICENSE']) copyFileSync(join(root, file), join(library, file))
