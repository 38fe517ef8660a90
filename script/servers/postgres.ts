import { existsSync } from 'node:fs'
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { find, installPackages, succeeds } from './install.ts'
import { runToEnd, setprivArguments } from './launch.ts'
import { ask } from './probe.ts'
import { type ServerKind, ServerError, type User } from './server.ts'

const defaultPort = 5432
const role = 'busbar'
/** Debian's user for it: PostgreSQL refuses to run as root. */
const systemUser = 'postgres'

/** PostgreSQL with its own defaults, so a commit is on the disk. Passwords are checked; only TCP on loopback. */
export const postgres: ServerKind = {
  name: 'postgres',
  variable: 'BUSBAR_POSTGRES_URL',
  defaultPort,
  ports: ['main'],
  // "Fast": SIGTERM would wait for every client to leave.
  stopSignal: 'SIGINT',
  // After a kill -9 of its first process the others need a moment to notice.
  passing: /pre-existing shared memory block/,

  async install(_cache, say) {
    if ((await findServer()) === undefined) await installPackages(['postgresql'], say)
    const server = await findServer()
    if (server === undefined) throw new ServerError('the package postgresql brought no postgres and initdb')
    return server
  },

  async prepare(place) {
    const { folder, programs, secret } = place
    const cluster = join(folder, 'cluster')
    if (existsSync(join(cluster, 'data'))) return

    await rm(cluster, { recursive: true, force: true })
    await mkdir(cluster, { mode: 0o700 })
    const password = join(cluster, 'password')
    await writeFile(password, secret, { mode: 0o600 })
    const user = await userFor(folder)
    if (user !== undefined) await Promise.all([cluster, password].map((path) => chown(path, user.uid, user.gid)))

    const data = join(cluster, 'half')
    const options = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', `--pwfile=${password}`, '--no-sync']
    await runToEnd({
      role: 'initdb',
      file: programs['initdb'] ?? '',
      args: ['-D', data, '-U', role, ...options],
      ...user?.is,
    })
    const alone = ['--single', '-D', data, 'postgres']
    await runToEnd(
      { role: 'createdb', file: programs['server'] ?? '', args: alone, ...user?.is },
      `CREATE DATABASE ${role}\n`,
    )
    await rm(password)
    await rename(data, join(cluster, 'data'))
  },

  async commands({ folder, ports, programs }) {
    const settings = {
      listen_addresses: '127.0.0.1',
      port: ports['main'],
      unix_socket_directories: '',
      max_connections: 200,
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const user = await userFor(folder)
    const args = ['-D', join(folder, 'cluster', 'data'), ...options]
    return [{ role: 'server', file: programs['server'] ?? '', args, ...user?.is }]
  },

  url: ({ ports, secret }) => `postgres://${role}:${secret}@127.0.0.1:${ports['main']}/${role}`,

  /**
   * What pg_isready does: a start packet. A server that is starting, recovering or stopping refuses it with 57P03; any
   * other answer, also "who are you?", comes from one that takes connections.
   */
  answers: (url) =>
    ask({
      url,
      defaultPort,
      bytes: startPacket(),
      isAnswer(received) {
        const kind = String.fromCharCode(received[0] ?? 0)
        if (kind === 'R') return true
        if (kind !== 'E') throw new Error('this is not a PostgreSQL server')
        if (received.length < 5 || received.length < received.readInt32BE(1) + 1) return false
        const fields = received.subarray(5).toString().split('\0')
        const text = fields.find((field) => field.startsWith('M'))?.slice(1)
        if (fields.includes('C57P03')) throw new Error(text ?? 'the database system is starting')
        return true
      },
    }),
}

function startPacket(): Buffer {
  const text = Buffer.from(`user\0${role}\0database\0${role}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + text.length, 0)
  // Protocol 3.0.
  head.writeInt32BE(0x0003_0000, 4)
  return Buffer.concat([head, text])
}

async function findServer(): Promise<{ server: string; initdb: string } | undefined> {
  // Debian keeps each version in a folder of its own, out of PATH.
  const debian = '/usr/lib/postgresql'
  const versions = await readdir(debian).catch(() => [])
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a))
  const folders = newestFirst.map((version) => join(debian, version, 'bin'))
  const [server, initdb] = await Promise.all([find('postgres', folders), find('initdb', folders)])
  return server === undefined || initdb === undefined ? undefined : { server, initdb }
}

interface SystemUser {
  readonly uid: number
  readonly gid: number
  readonly is: { readonly user: User }
}

/** Who PostgreSQL has to run as; undefined if as ourselves. */
async function userFor(folder: string): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const [uid, gid] = await Promise.all(['-u', '-g'].map((which) => idOf(which)))
  if (uid === undefined || gid === undefined) {
    throw new ServerError(`PostgreSQL refuses to run as root, and there is no user ${systemUser} for it here`)
  }
  // The folder may lie in one that only root can enter, as a home or a temporary folder. Then the capability to enter it
  // goes with the process; it is no more than root gave up by changing to this user.
  for (const capabilities of [[], ['dac_override']]) {
    const user = { name: systemUser, capabilities }
    if (await succeeds('setpriv', [...setprivArguments({ user }), 'ls', '-d', join(folder, '.')]))
      return { uid, gid, is: { user } }
  }
  throw new ServerError(
    `PostgreSQL refuses to run as root, and the user ${systemUser} cannot enter ${folder}: let BUSBAR_BROKERS_FOLDER name one that it can`,
  )
}

async function idOf(which: string): Promise<number | undefined> {
  try {
    return Number(await runToEnd({ role: 'id', file: 'id', args: [which, systemUser] }))
  } catch {
    return undefined
  }
}
