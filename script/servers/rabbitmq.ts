import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { find, installPackages } from './install.ts'
import { ask } from './probe.ts'
import { type Place, type ServerKind, ServerError } from './server.ts'

const defaultPort = 5672
const user = 'busbar'

/**
 * RabbitMQ, with an epmd of its own: without it Erlang would use, or leave behind, one that the whole machine shares and
 * that listens on every address. All three ports are on loopback.
 */
export const rabbitmq: ServerKind = {
  name: 'rabbitmq',
  variable: 'BUSBAR_RABBITMQ_URL',
  defaultPort,
  ports: ['main', 'distribution', 'epmd'],
  stopSignal: 'SIGTERM',

  async install(_cache, say) {
    if ((await findServer()) === undefined) await installPackages(['rabbitmq-server'], say)
    const server = await findServer()
    const epmd = await find('epmd')
    if (server === undefined) throw new ServerError('the package rabbitmq-server brought no rabbitmq-server')
    if (epmd === undefined) throw new ServerError("Erlang's epmd is not in PATH: install erlang-base")
    return { server, epmd }
  },

  async prepare({ folder, ports, secret }) {
    await mkdir(join(folder, 'home'), { recursive: true, mode: 0o700 })
    const settings = {
      'listeners.tcp.local': `127.0.0.1:${ports['main']}`,
      default_user: user,
      default_pass: secret,
      'log.console': 'true',
      'log.console.level': 'info',
      'log.file': 'false',
      // What is free on the disk is the machine's business; a test that wants the alarm sets it.
      'disk_free_limit.absolute': '50MB',
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`)
    await writeFile(join(folder, 'rabbitmq.conf'), lines.join(''), { mode: 0o600 })
    await writeFile(join(folder, 'enabled_plugins'), '[].\n')
  },

  async commands(place) {
    const { folder, ports, programs } = place
    const env = environment(place)
    return [
      {
        role: 'epmd',
        file: programs['epmd'] ?? '',
        args: ['-address', '127.0.0.1', '-port', String(ports['epmd'])],
        env,
        answers: () => askEpmd(ports['epmd'] ?? 0),
      },
      {
        role: 'server',
        file: programs['server'] ?? '',
        args: [],
        env: { ...env, ERL_CRASH_DUMP: join(folder, 'crash') },
      },
    ]
  },

  url: ({ ports, secret }) => `amqp://${user}:${secret}@127.0.0.1:${ports['main']}`,

  /** Opens with the protocol's header, and is answered with the method Connection.Start. */
  answers: (url) =>
    ask({
      url,
      defaultPort,
      bytes: Buffer.from('AMQP\x00\x00\x09\x01', 'latin1'),
      isAnswer(received) {
        if (received.length < 11) return false
        const isStart = received[0] === 1 && received.readUInt16BE(7) === 10 && received.readUInt16BE(9) === 10
        if (!isStart) throw new Error('this is not an AMQP 0-9-1 server')
        return true
      },
    }),
}

/** The server's own script. The one that Debian puts in PATH would change to Debian's user and Debian's folders. */
function findServer(): Promise<string | undefined> {
  return find('rabbitmq-server', ['/usr/lib/rabbitmq/bin'])
}

function environment({ folder, ports, secret }: Place): Readonly<Record<string, string>> {
  return {
    // The Erlang cookie is made in the home folder.
    HOME: join(folder, 'home'),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(ports['epmd']),
    // The data belongs to the node's name, so that one must not change with the port.
    RABBITMQ_NODENAME: `busbar-${secret.slice(0, 8)}@localhost`,
    RABBITMQ_DIST_PORT: String(ports['distribution']),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    // The start script becomes the server, instead of staying in front of it: the process that we know is the one to kill.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_CONF_ENV_FILE: join(folder, 'rabbitmq-env.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'logs'),
    RABBITMQ_LOGS: '-',
  }
}

/** NAMES_REQ, which epmd answers with its own port. */
function askEpmd(port: number): Promise<void> {
  return ask({
    url: `epmd://127.0.0.1:${port}`,
    defaultPort: port,
    bytes: Buffer.from([0, 1, 110]),
    isAnswer: (received) => received.length >= 4 && received.readUInt32BE(0) === port,
  })
}
