import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { find, installPackages, work } from './install.ts'
import { ask } from './probe.ts'
import { type Say, type ServerKind, ServerError } from './server.ts'

/** The release that is built where there is a Go toolchain. */
export const natsVersion = '2.15.2'
const defaultPort = 4222

/** NATS with JetStream on disk. `durable` syncs each message before it is confirmed. */
export const nats: ServerKind = {
  name: 'nats',
  variable: 'BUSBAR_NATS_URL',
  defaultPort,
  ports: ['main'],
  stopSignal: 'SIGTERM',

  async install(cache, say) {
    const built = join(cache, `nats-server-${natsVersion}`)
    const server = (await find('nats-server', [built])) ?? (await build(built, cache, say)) ?? (await packaged(say))
    return { server }
  },

  async prepare({ folder, ports, secret, durable }) {
    // A quoted string of NATS' configuration has JSON's escapes.
    const configuration = `
host: "127.0.0.1"
port: ${ports['main']}
server_name: "busbar-${secret.slice(0, 8)}"
jetstream {
  store_dir: ${JSON.stringify(join(folder, 'jetstream'))}
  max_memory_store: 256MB
  max_file_store: 20GB
${durable ? '  sync_interval: always\n' : ''}}
`
    await writeFile(join(folder, 'nats.conf'), configuration)
  },

  async commands({ folder, programs }) {
    return [{ role: 'server', file: programs['server'] ?? '', args: ['-c', join(folder, 'nats.conf')] }]
  },

  url: ({ ports }) => `nats://127.0.0.1:${ports['main']}`,

  /** The server speaks first: INFO, which also tells whether JetStream is on. */
  answers: (url) =>
    ask({
      // NATS says INFO in the clear and changes to TLS after it.
      url: url.replace(/^tls:/i, 'nats:'),
      defaultPort,
      isAnswer(received) {
        const text = received.toString()
        if (!text.includes('\r\n')) return false
        if (!text.startsWith('INFO ')) throw new Error('this is not a NATS server')
        const info = JSON.parse(text.slice(5, text.indexOf('\r\n'))) as { jetstream?: boolean; version?: string }
        if (info.jetstream !== true) throw new Error(`NATS ${info.version ?? ''} runs without JetStream`)
        return true
      },
    }),
}

/** Undefined where there is no Go toolchain, or it does not do. */
async function build(folder: string, cache: string, say: Say): Promise<string | undefined> {
  const go = await find('go')
  if (go === undefined) return undefined
  say(`building nats-server ${natsVersion}`)
  try {
    await work(go, ['install', `github.com/nats-io/nats-server/v2@v${natsVersion}`], {
      GOBIN: folder,
      GOMODCACHE: join(cache, 'go-modules'),
      GOCACHE: join(cache, 'go-build'),
      GOFLAGS: '-modcacherw',
    })
  } catch (error) {
    say((error as Error).message)
    return undefined
  }
  return await find('nats-server', [folder])
}

async function packaged(say: Say): Promise<string> {
  await installPackages(['nats-server'], say)
  const server = await find('nats-server')
  if (server === undefined) throw new ServerError('the package nats-server brought no nats-server')
  return server
}
