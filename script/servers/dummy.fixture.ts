/** A server for tests of those that start servers: quick, and there on every machine. */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from './probe.ts'
import type { Place, ServerKind } from './server.ts'

export const folderForTest = (): string => mkdtempSync(join(tmpdir(), 'busbar-servers-'))

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

export interface DummyOptions {
  readonly name?: string
  /** JavaScript to run instead of the server. */
  readonly program?: string
  /** Why it cannot be had. */
  readonly missing?: string
  readonly passing?: RegExp
}

const greeting = 'dummy\n'
const listening = `
require('node:fs').appendFileSync(process.env.FOLDER + '/starts', 'x')
require('node:net').createServer((socket) => socket.end('dummy\\n')).listen(Number(process.env.PORT), '127.0.0.1')`

/** Greets who connects, and writes an x into `starts` each time it starts. Its helper does nothing. */
export function dummy(options: DummyOptions = {}): ServerKind {
  const { name = 'dummy', program = listening, missing, passing } = options
  return {
    name,
    variable: `BUSBAR_${name.toUpperCase()}_URL`,
    defaultPort: 1,
    ports: ['main'],
    stopSignal: 'SIGTERM',
    ...(passing === undefined ? {} : { passing }),
    install: () => (missing === undefined ? Promise.resolve({}) : Promise.reject(new Error(missing))),
    prepare: ({ folder }) => Promise.resolve(appendFileSync(join(folder, 'prepared'), 'x')),
    commands: async (place) => [
      command('helper', 'setInterval(() => {}, 1000)', place),
      command('server', program, place),
    ],
    url: ({ ports, secret }) => `dummy://user:${secret}@127.0.0.1:${ports['main']}`,
    answers: (url) => ask({ url, defaultPort: 1, isAnswer: (received) => received.toString() === greeting }),
  }
}

function command(role: string, program: string, { folder, ports }: Place) {
  const env = { FOLDER: folder, PORT: String(ports['main']) }
  return { role, file: process.execPath, args: ['-e', program], env }
}

/** How often a dummy was started in this folder. */
export function startsIn(folder: string): number {
  const file = join(folder, 'starts')
  return existsSync(file) ? readFileSync(file, 'utf8').length : 0
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited 30 s in vain for ${what}`)
    await sleep(20)
  }
}
