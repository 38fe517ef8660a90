import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Sample } from './sample.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))

async function bench(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args])
  return stdout
}

const PEERS = ['@nestjs/cqrs', 'moleculer', 'emittery', '@node-ts/bus-core', '@event-driven-io/emmett']
const PUBLISHING = ['one by one', '100 in flight', '1000 in flight', 'batches of 100', 'batches of 1000']

describe('bench memory sqlite --json, at its smallest', () => {
  let samples: readonly Sample[] = []
  const measured = (suite: string, subject: string, payloadBytes: number): string[] =>
    samples
      .filter((each) => each.suite === suite && each.subject === subject && each.payloadBytes === payloadBytes)
      .map(({ measure }) => measure)

  beforeAll(async () => {
    samples = JSON.parse(await bench('memory', 'sqlite', '--plan', 'tiny', '--json')) as Sample[]
  }, 300_000)

  test('prints one array of numbers with their names and units, and nothing else', () => {
    expect(samples.length).toBeGreaterThan(0)
    for (const sample of samples) {
      expect(Object.keys(sample).toSorted()).toEqual(['measure', 'payloadBytes', 'subject', 'suite', 'unit', 'value'])
      expect(sample.value, sample.measure).toBeGreaterThan(0)
      expect(['msg/s', 'µs', 'MB']).toContain(sample.unit)
    }
  })

  test.each([64, 500])('measures Busbar and the raw baseline alike with %i bytes', (payloadBytes) => {
    const all = [
      'end to end',
      'end to end, 100 in flight',
      'consume',
      'latency p50',
      ...PUBLISHING.map((how) => `publish ${how}`),
    ]
    for (const suite of ['memory', 'sqlite']) {
      for (const subject of ['busbar', 'raw']) {
        expect(measured(suite, subject, payloadBytes)).toEqual(expect.arrayContaining(all))
      }
    }
  })

  test('measures every peer from end to end', () => {
    for (const peer of PEERS) {
      expect(measured('memory', peer, 64)).toEqual(expect.arrayContaining(['end to end', 'latency p50']))
    }
  })

  test('measures the cost of a message on logs of different sizes, and the memory of a backlog', () => {
    const names = measured('sqlite', 'busbar', 64)
    for (const what of ['publish', 'consume']) {
      for (const rows of ['1e2', '1e3']) expect(names).toContain(`${what}, cost per message at ${rows} rows`)
    }
    expect(names).toContain('RSS at a backlog of 1e3')
  })
})

test('the table compares with Busbar, says what each subject promises, and checks the targets', async () => {
  const text = await bench('memory', '--plan', 'tiny')
  for (const peer of PEERS) expect(text).toContain(`${peer}: `)
  expect(text).toMatch(/raw .* msg\/s +[\d.]+ \[[\d.]+ – [\d.]+\]/)
  expect(text).toMatch(/(PASS|miss) {2}memory, end to end: at least 1 × @nestjs\/cqrs/)
}, 300_000)

test('event stores are measured as they grow, and so is what is built on them', async () => {
  const samples = JSON.parse(await bench('store-sqlite', '--plan', 'tiny', '--json')) as Sample[]
  const names = samples.filter(({ subject }) => subject === 'busbar').map(({ measure }) => measure)
  for (const what of ['append', 'read of 100']) {
    for (const rows of ['1e2', '1e3']) expect(names).toContain(`${what}, cost per message at ${rows} rows`)
  }
  expect(names).toEqual(expect.arrayContaining(['projection catch-up', 'projection rebuild', 'append 1 event, serial']))
  for (const peer of ['raw', 'emmett']) {
    const theirs = samples.filter(({ subject }) => subject === peer).map(({ measure }) => measure)
    expect(theirs, peer).toEqual(expect.arrayContaining(['append 1 event, serial', 'read a stream of 100']))
  }
  expect(names.filter((name) => name.startsWith('load an aggregate'))).toHaveLength(2)
  expect(samples.every(({ value }) => value > 0)).toBe(true)
}, 300_000)

test('an unknown suite is named, with those that there are', async () => {
  await expect(bench('memori')).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(/memori[^]*sqlite/) })
})
