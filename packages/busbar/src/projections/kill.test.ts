import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { killedAgainAndAgain, KILLING_TAKES } from './fixtures/killing.ts'

test(
  'each event changes a model in SQLite exactly once, and a rebuild goes on, in processes that are killed with -9 in the middle of it',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'busbar-projection-kill-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const { found, expected } = await killedAgainAndAgain({
      kind: 'sqlite',
      events: join(folder, 'events.db'),
      model: join(folder, 'model.db'),
    })
    expect(found).toEqual(expected)
  },
  KILLING_TAKES,
)
