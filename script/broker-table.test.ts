import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { brokerTable, madeAnew } from './broker-table.ts'

test('the table of brokers in the docs is what the brokers tell (npm run docs makes it anew)', async () => {
  const text = readFileSync(new URL('../docs/brokers.md', import.meta.url), 'utf8')
  expect(text).toBe(await madeAnew(text))
})

test('a broker that cannot do a thing says no, and is put to fewer checks', async () => {
  const cells = (await brokerTable()).split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  const names = cells[0] ?? []
  const cell = (row: RegExp, broker: string): string =>
    cells.find(([, title = '']) => row.test(title))?.[names.indexOf(`\`${broker}\``)] ?? ''
  expect(cell(/^replay/, 'memory')).toBe('no')
  expect(cell(/^replay/, 'sqlite')).toBe('yes')
  expect(Number(cell(/^checks/, 'memory'))).toBeLessThan(Number(cell(/^checks/, 'sqlite')))
})
