/** Changing the broker is changing its URL: the program is the same, and so is its closing line. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

const MAIN = path.join(import.meta.dirname, 'main.ts')
const TIMES = 2

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'busbar-switch-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Of a server: what `script/brokers up` prints, with a place of its own on it. */
function urlOf(variable: string, parameter: 'prefix' | 'schema' = 'prefix'): string {
  const url = process.env[variable]
  if (url === undefined) throw new Error(`${variable} is not set: eval "$(./script/brokers up)"`)
  return `${url}${url.includes('?') ? '&' : '?'}${parameter}=demo_${randomUUID().slice(0, 8)}`
}

async function once(broker: string): Promise<{ code: number | null; line: Record<string, unknown>; err: string }> {
  const args = [MAIN, '--once', '--json', '--times', String(TIMES), '--broker', broker]
  const child = spawn(process.execPath, [...args, '--file', path.join(folder, 'tables.db')], { stdio: 'pipe' })
  const text = { out: '', err: '' }
  child.stdout.on('data', (data) => (text.out += String(data)))
  child.stderr.on('data', (data) => (text.err += String(data)))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  const { seconds: _, ...line } = JSON.parse(text.out || '{}') as Record<string, unknown>
  return { code, line, err: text.err }
}

const ordered = {
  postgres: () => urlOf('BUSBAR_POSTGRES_URL', 'schema'),
  redis: () => urlOf('BUSBAR_REDIS_URL'),
  kafka: () => urlOf('BUSBAR_KAFKA_URL'),
  rabbitmq: () => urlOf('BUSBAR_RABBITMQ_URL'),
  nats: () => urlOf('BUSBAR_NATS_URL'),
}

test.each(Object.entries(ordered))('over %s the closing line is that of SQLite', async (_name, url) => {
  const expected = await once(`sqlite:${path.join(folder, 'bus.db')}`)
  expect(expected.line).toMatchObject({ published: 329 * TIMES, lost: 0, duplicated: 0, outOfOrder: 0 })
  rmSync(folder, { recursive: true, force: true })
  const { code, line, err } = await once(url())
  expect(line, err).toEqual(expected.line)
  expect(code).toBe(0)
})

test('over BullMQ, too, but for the order, which it does not promise and the program says so', async () => {
  const expected = await once(`sqlite:${path.join(folder, 'bus.db')}`)
  rmSync(folder, { recursive: true, force: true })
  const { code, line, err } = await once(urlOf('BUSBAR_REDIS_URL').replace(/^redis/, 'bullmq'))
  expect({ ...line, outOfOrder: 0 }, err).toEqual(expected.line)
  expect(err).toContain('no order by key')
  expect(code).toBe(0)
})

test('over Redis Pub/Sub it is refused, because its groups would lose what they do not hear', async () => {
  const { code, err } = await once(urlOf('BUSBAR_REDIS_URL').replace(/^redis/, 'redis+pubsub'))
  expect(err).toMatch(/group/)
  expect(err).not.toMatch(/\n\s+at /)
  expect(code).toBe(1)
})
