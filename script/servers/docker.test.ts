import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Brokers } from './brokers.ts'
import { dummy, folderForTest, remove } from './dummy.fixture.ts'
import { identify, kill } from './identity.ts'
import { kafkaVersion } from './kafka.ts'
import { kinds } from './kinds.ts'
import { serverNames } from './server.ts'

const kind = dummy()
let folder: string

beforeEach(() => {
  folder = folderForTest()
  mkdirSync(join(folder, 'bin'))
  vi.stubEnv('PATH', `${join(folder, 'bin')}${delimiter}${process.env['PATH']}`)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  const container = identify(containerPid())
  if (container !== undefined) await kill(container)
  remove(folder)
})

/** A `docker` in PATH: an engine whose only image is the dummy server. It writes down how it was called. */
function installDocker(engine: string): void {
  const program = `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { spawn } = require('node:child_process')
const at = (name) => ${JSON.stringify(folder)} + '/' + name
const args = process.argv.slice(2)
appendFileSync(at('calls'), args.join(' ') + '\\n')
const pid = existsSync(at('pid')) ? Number(readFileSync(at('pid'), 'utf8')) : undefined
if (args[0] === 'info') { ${engine} }
if (args.includes('up')) {
  const greet = "require('node:net').createServer((s) => s.end('dummy\\\\n')).listen(process.env.BUSBAR_DUMMY_PORT, '127.0.0.1')"
  const child = spawn(process.execPath, ['-e', greet], { detached: true, stdio: 'ignore' })
  writeFileSync(at('pid'), String(child.pid))
  child.unref()
}
if (args.includes('ps') && pid !== undefined) console.log('dummy')
if (args.includes('rm')) { process.kill(pid); rmSync(at('pid')) }
`
  const file = join(folder, 'bin/docker')
  writeFileSync(file, program)
  chmodSync(file, 0o755)
}

function containerPid(): number {
  const file = join(folder, 'pid')
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
}

const calls = (): string => readFileSync(join(folder, 'calls'), 'utf8')
const brokers = () => new Brokers({ folder, cache: join(folder, 'cache'), env: {}, say: () => undefined })

describe('where a Docker engine answers', () => {
  test('the server is a container: started, found again, ended with its volume kept', async () => {
    installDocker('')
    const [first] = await brokers().up([kind])
    expect(first).toMatchObject({ source: 'docker' })
    expect(calls()).toMatch(/compose --project-name busbar-[0-9a-f]{8} --file \S+compose\.yaml up --detach dummy/)
    expect(await brokers().up([kind])).toEqual([first])
    expect(calls().match(/up --detach/g)).toHaveLength(1)
    expect(await brokers().status([kind])).toMatchObject([{ state: 'ready', source: 'docker' }])

    await brokers().down([kind])
    expect(calls()).toMatch(/rm --stop --force dummy\n/)
    expect(calls()).not.toContain('--volumes')
    expect(await brokers().status([kind])).toEqual([{ name: 'dummy', state: 'stopped' }])
  })

  test('a native server is had all the same when it is asked for', async () => {
    installDocker('')
    expect(await brokers().up([kind], { native: true })).toMatchObject([{ source: 'native' }])
    await brokers().down([kind])
    expect(existsSync(join(folder, 'calls'))).toBe(false)
  })
})

describe('a Docker client without an engine', () => {
  test.each([
    ['that says so', 'process.exit(1)'],
    ['that hangs', 'setInterval(() => {}, 1000); return'],
  ])('%s is passed by', async (_name, engine) => {
    installDocker(engine)
    expect(await brokers().up([kind])).toMatchObject([{ source: 'native' }])
    await brokers().down([kind])
    expect(calls()).not.toContain('compose --project-name')
  })
})

describe('compose.yaml', () => {
  const text = readFileSync(join(import.meta.dirname, '../../compose.yaml'), 'utf8')

  test.each(serverNames)('has %s, on a port of loopback that the script may choose', (name) => {
    const service = new RegExp(`^  ${name}:\\n((?:    .*\\n|\\n)+)`, 'm').exec(text)?.[1] ?? ''
    const port = `\${${kinds[name].variable.replace('_URL', '_PORT')}:-`
    expect(service).toContain(`    ports: ['127.0.0.1:${port}`)
    expect(service).toContain(`    volumes: ['${name}:`)
  })

  test('has the Kafka that runs natively', () => {
    expect(text).toContain(`image: apache/kafka:${kafkaVersion}\n`)
  })
})
