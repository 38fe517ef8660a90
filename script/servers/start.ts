/** Servers of a test's own, for tests that kill them. */
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cacheFolder } from './folder.ts'
import { kill } from './identity.ts'
import { kinds } from './kinds.ts'
import { launch, LaunchError, serverOf, type ServerProcess, stop } from './launch.ts'
import { placeOf, programsOf } from './place.ts'
import { isFree } from './ports.ts'
import type { Place, ServerKind, ServerName } from './server.ts'

export { serverNames, ServerError, type ServerName } from './server.ts'

export interface StartOptions {
  /** Folder of this server alone; made if it is missing. Started again on the same folder it has its data again. */
  readonly dataDir: string
  /** Default: a free one, kept through restarts. */
  readonly port?: number
  /** Confirmed means on the disk (Redis: `appendfsync always`, NATS: `sync_interval always`, Kafka: flush each batch). Default false. */
  readonly durable?: boolean
  /** Port of a proxy in front of it, which Kafka then names to its clients. Default: none. */
  readonly advertised?: number
}

/** A server that ends with this process at the latest; on Linux also if this process is killed. */
export interface OwnServer {
  readonly name: string
  /** The same after a restart. */
  readonly url: string
  /** Process id of the server; another after a restart, the last one while it is down. */
  readonly pid: number
  /** kill -9 of the server and all its processes at once; resolves when they are gone. Data stays. */
  kill9(): Promise<void>
  /** Starts it on the same data and URL, ended in order first if it runs; resolves when it answers. */
  restart(): Promise<void>
  /** Ends it in order, by kill -9 after 30 s; resolves when it is gone. Data stays. */
  stop(): Promise<void>
}

/**
 * Starts a server of one's own, native, on loopback and private ports; resolves when it answers.
 * What the environment names and what `script/brokers up` started is never touched.
 * @throws ServerError if the server cannot be had, with the reason
 */
export async function startServer(name: ServerName, options: StartOptions): Promise<OwnServer> {
  return await startServerOf(kinds[name], options)
}

export async function startServerOf(kind: ServerKind, options: StartOptions): Promise<OwnServer> {
  const { dataDir, port, durable = false, advertised } = options
  const programs = await programsOf(kind, cacheFolder(), () => undefined)
  const draw = (): Promise<Place> =>
    placeOf(kind, {
      folder: resolve(dataDir),
      programs,
      durable,
      ...(advertised === undefined ? {} : { advertised }),
      ...(port === undefined ? {} : { wanted: { main: port } }),
    })

  let place = await draw()
  let processes: readonly ServerProcess[] = []
  const start = async (): Promise<void> => {
    processes = await launch(kind, place, { leashed: true })
  }
  for (let attempt = 1; ; attempt++) {
    try {
      await start()
      break
    } catch (error) {
      // Between our look and its start another process may have taken a port.
      if (!(error instanceof LaunchError) || attempt === 3 || (await areFree(place))) throw error
      place = await draw()
    }
  }

  return {
    name: kind.name,
    url: kind.url(place),
    get pid() {
      return serverOf(processes)?.pid ?? 0
    },
    async kill9() {
      const server = serverOf(processes)
      if (server !== undefined) await kill(server)
    },
    async restart() {
      await stop(kind, processes)
      await untilFree(place)
      await start()
    },
    stop: () => stop(kind, processes),
  }
}

async function areFree(place: Place): Promise<boolean> {
  const free = await Promise.all(Object.values(place.ports).map(isFree))
  return free.every(Boolean)
}

async function untilFree(place: Place): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await areFree(place)) && performance.now() < deadline) await sleep(50)
}
