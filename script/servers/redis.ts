import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { find, installPackages } from './install.ts'
import { ask } from './probe.ts'
import { type ServerKind, ServerError } from './server.ts'

const defaultPort = 6379

/** Redis with its append-only file. `durable` syncs it before each reply; else once a second. */
export const redis: ServerKind = {
  name: 'redis',
  variable: 'BUSBAR_REDIS_URL',
  defaultPort,
  ports: ['main'],
  stopSignal: 'SIGTERM',

  async install(_cache, say) {
    if ((await find('redis-server')) === undefined) await installPackages(['redis-server'], say)
    const server = await find('redis-server')
    if (server === undefined) throw new ServerError('the package redis-server brought no redis-server')
    return { server }
  },

  async prepare({ folder, ports, durable }) {
    const settings = {
      bind: '127.0.0.1',
      port: ports['main'],
      dir: JSON.stringify(folder),
      appendonly: 'yes',
      appendfsync: durable ? 'always' : 'everysec',
      save: '""',
      daemonize: 'no',
      logfile: '""',
      'maxmemory-policy': 'noeviction',
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`)
    await writeFile(join(folder, 'redis.conf'), lines.join(''))
  },

  async commands({ folder, programs }) {
    return [{ role: 'server', file: programs['server'] ?? '', args: [join(folder, 'redis.conf')] }]
  },

  url: ({ ports }) => `redis://127.0.0.1:${ports['main']}`,

  /** A PING. While it reads its file back Redis answers LOADING, which is not ready; NOAUTH is: a client has the password. */
  answers: (url) =>
    ask({
      url,
      defaultPort,
      bytes: Buffer.from('PING\r\n'),
      isAnswer(received) {
        const text = received.toString('latin1')
        if (!text.includes('\r\n')) return false
        if (text.startsWith('+PONG') || text.startsWith('-NOAUTH')) return true
        throw new Error(`PING was answered with ${JSON.stringify(text.slice(0, 80))}`)
      },
    }),
}
