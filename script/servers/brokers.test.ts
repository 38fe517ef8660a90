import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Brokers, type Upped } from './brokers.ts'
import { dummy, folderForTest, remove, startsIn, until } from './dummy.fixture.ts'
import { identify, isAlive, kill } from './identity.ts'
import { launch, serverOf } from './launch.ts'
import { placeOf } from './place.ts'
import { readRecord, writeRecord } from './records.ts'
import type { ServerKind } from './server.ts'

let folder: string
const kind = dummy()
const native = { native: true }

beforeEach(() => {
  folder = folderForTest()
})
afterEach(async () => {
  await brokers().down(['dummy', 'other', 'missing', 'broken', 'silent'].map((name) => dummy({ name })))
  remove(folder)
})

function brokers(env: Record<string, string> = {}): Brokers {
  return new Brokers({ folder, cache: join(folder, 'cache'), env, say: () => undefined })
}

function urlOf(upped: Upped | undefined): string {
  if (upped === undefined || !('url' in upped)) throw new Error(`it is not up: ${upped?.reason}`)
  return upped.url
}

function reasonOf(upped: Upped | undefined): string {
  return upped !== undefined && 'reason' in upped ? upped.reason : 'there is none'
}

async function up(of: ServerKind = kind): Promise<string> {
  return urlOf((await brokers().up([of], native))[0])
}

const processes = (name = 'dummy') => readRecord(join(folder, name))?.processes ?? []

describe('up', () => {
  test('starts a server and resolves when it answers', async () => {
    const url = await up()
    await kind.answers(url)
    const pid = serverOf(processes())?.pid
    expect(await brokers().status([kind])).toEqual([{ name: 'dummy', state: 'ready', source: 'native', pid, url }])
  })

  test('twice gives the running one', async () => {
    const url = await up()
    const before = processes()
    expect(await up()).toBe(url)
    expect(processes()).toEqual(before)
    expect(startsIn(join(folder, 'dummy'))).toBe(1)
  })

  test('twice at the same time starts one', async () => {
    const urls = await Promise.all([up(), up(), up()])
    expect(new Set(urls).size).toBe(1)
    expect(startsIn(join(folder, 'dummy'))).toBe(1)
  })

  test('revives one that was killed: same URL, same data, no helper left over', async () => {
    const url = await up()
    const before = processes()
    await kill(serverOf(before)!)
    expect(await brokers().status([kind])).toMatchObject([{ state: 'dead', url }])

    expect(await up()).toBe(url)
    expect(startsIn(join(folder, 'dummy'))).toBe(2)
    expect(before.filter(isAlive)).toEqual([])
    expect(await brokers().status([kind])).toMatchObject([{ state: 'ready', url }])
  })

  test('names the one that cannot be had with its reason, and the others come up', async () => {
    const missing = dummy({ name: 'missing', missing: 'there is no such package' })
    const broken = dummy({ name: 'broken', program: "console.error('my configuration is wrong'); process.exit(3)" })
    const results = await brokers().up([missing, broken, kind], native)
    expect(reasonOf(results[0])).toBe('there is no such package')
    expect(reasonOf(results[1])).toContain('broken did not start')
    expect(reasonOf(results[1])).toContain('my configuration is wrong')
    expect(processes('broken').filter(isAlive)).toEqual([])
    await kind.answers(urlOf(results[2]))
  })

  test('starts again what ended for a reason that passes', async () => {
    const program = `
      const { appendFileSync, readFileSync } = require('node:fs')
      appendFileSync(process.env.FOLDER + '/starts', 'x')
      if (readFileSync(process.env.FOLDER + '/starts').length < 3) throw new Error('still in use')
      require('node:net').createServer((socket) => socket.end('dummy\\n')).listen(process.env.PORT, '127.0.0.1')`
    await up(dummy({ program, passing: /still in use/ }))
    expect(startsIn(join(folder, 'dummy'))).toBe(3)
  })

  test('does not pass a running one off as durable', async () => {
    await up()
    const [again] = await brokers().up([kind], { ...native, durable: true })
    expect(reasonOf(again)).toContain('it runs without --durable: script/brokers down dummy first')
  })
})

describe('what the environment names', () => {
  /** A server that someone else runs. */
  async function someoneElses() {
    const place = await placeOf(kind, { folder: join(folder, 'theirs'), programs: {}, durable: false })
    const server = await launch(kind, place, { leashed: true })
    return { url: kind.url(place), server, end: () => Promise.all(server.map(kill)) }
  }

  test('is used as it is, and nothing is started or ended', async () => {
    const theirs = await someoneElses()
    const ours = brokers({ BUSBAR_DUMMY_URL: theirs.url })
    expect(await ours.up([kind])).toEqual([{ kind, source: 'env', url: theirs.url }])
    expect(processes()).toEqual([])
    const [status] = await ours.status([kind])
    expect(status).toMatchObject({ state: 'ready', source: 'env' })
    expect(status?.url).toContain('user:***@')
    await ours.down([kind])
    expect(theirs.server.every(isAlive)).toBe(true)
    await theirs.end()
  })

  test('and does not answer, is said without its password; nothing takes its place', async () => {
    const theirs = await someoneElses()
    await theirs.end()
    const ours = brokers({ BUSBAR_DUMMY_URL: theirs.url })
    const reason = reasonOf((await ours.up([kind]))[0])
    expect(reason).toContain('BUSBAR_DUMMY_URL names dummy://user:***@127.0.0.1:')
    expect(reason).toContain('does not answer')
    expect(processes()).toEqual([])
  })

  test('is nothing where the variable is empty', async () => {
    expect(await brokers({ BUSBAR_DUMMY_URL: ' ' }).up([kind], native)).toMatchObject([{ source: 'native' }])
  })
})

describe('down', () => {
  test('ends the server and its helper; data and URL stay', async () => {
    const url = await up()
    const before = processes()
    expect(before.map(({ role }) => role)).toEqual(['helper', 'server'])
    await brokers().down([kind])
    expect(before.filter(isAlive)).toEqual([])
    expect(await brokers().status([kind])).toEqual([{ name: 'dummy', state: 'stopped' }])
    expect(await up()).toBe(url)
    expect(startsIn(join(folder, 'dummy'))).toBe(2)
  })

  test('ends only the one that is named', async () => {
    const other = dummy({ name: 'other' })
    await up()
    await up(other)
    await brokers().down([other])
    expect(await brokers().status([kind, other])).toMatchObject([{ state: 'ready' }, { state: 'stopped' }])
  })

  test('leaves a process alone that has got the id of one that ended', async () => {
    await up()
    const record = readRecord(join(folder, 'dummy'))!
    const stranger = processes()
    writeRecord(join(folder, 'dummy'), {
      ...record,
      processes: record.processes.map((one) => ({ ...one, started: 'in another life' })),
    })
    expect(await brokers().status([kind])).toMatchObject([{ state: 'dead' }])
    await brokers().down([kind])
    expect(stranger.every(isAlive)).toBe(true)
    await Promise.all(stranger.map(kill))
  })

  test('knows a server whose up was killed before it was ready', async () => {
    const silent = dummy({ name: 'silent', program: 'setInterval(() => {}, 1000)' })
    // What an `up` that is killed while it waits leaves behind: a record, and nobody who waits.
    const place = await placeOf(silent, { folder: join(folder, 'silent'), programs: {}, durable: false })
    const launching = launch(silent, place, {
      leashed: false,
      began: (begun) =>
        writeRecord(place.folder, {
          source: 'native',
          url: silent.url(place),
          ports: place.ports,
          durable: false,
          processes: begun,
        }),
    }).catch((error: Error) => error.message)
    await until('both processes to be recorded', () => processes('silent').length === 2)
    expect(await brokers().status([silent])).toMatchObject([{ state: 'not answering' }])
    const begun = processes('silent')
    await brokers().down([silent])
    expect(begun.filter(isAlive)).toEqual([])
    expect(await launching).toContain('its process ended')
  })

  test('of nothing does nothing', async () => {
    await brokers().down([kind])
    expect(existsSync(join(folder, 'dummy'))).toBe(false)
    expect(identify(process.pid)).toBeDefined()
  })
})
