/** Servers in containers, of `compose.yaml`, where a Docker engine answers. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lastLines, succeeds, work } from './install.ts'
import type { Ports } from './place.ts'
import { ServerError, type ServerKind } from './server.ts'

const composeFile = join(import.meta.dirname, '../../compose.yaml')

export interface Container {
  readonly ports: Ports
  readonly secret: string
  readonly durable: boolean
}

/** The containers that belong to one folder. */
export class Docker {
  readonly #compose: readonly string[]

  /** @param folder two checkouts of the project have different containers */
  constructor(folder: string) {
    const project = `busbar-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`
    this.#compose = ['compose', '--project-name', project, '--file', composeFile]
  }

  /** Whether there is an engine that answers, and the compose plugin. A client alone is no engine. */
  async answers(): Promise<boolean> {
    return (await succeeds('docker', ['info'], 5000)) && (await succeeds('docker', ['compose', 'version'], 5000))
  }

  /** Starts the server's container, or leaves it running; resolves when the server answers. @throws ServerError */
  async up(kind: ServerKind, container: Container, patience = 300_000): Promise<void> {
    await this.#run(['up', '--detach', kind.name], environmentOf(kind, container))
    const deadline = performance.now() + patience
    for (;;) {
      const reason = await kind.answers(kind.url(container)).then(
        () => undefined,
        (error: Error) => error.message,
      )
      if (reason === undefined) return
      if (performance.now() > deadline || !(await this.runs(kind))) {
        const log = await this.#run(['logs', '--tail', '12', kind.name]).catch(() => '')
        throw new ServerError(`the container of ${kind.name} did not get ready: ${reason}\n${lastLines(log, 12)}`)
      }
      await sleep(250)
    }
  }

  async runs(kind: ServerKind): Promise<boolean> {
    const services = await this.#run(['ps', '--status', 'running', '--services'])
    return services.split('\n').includes(kind.name)
  }

  /** Stops and removes the server's container. Its volume, with the data, stays. */
  async down(kind: ServerKind): Promise<void> {
    await this.#run(['rm', '--stop', '--force', kind.name])
  }

  async hasContainers(): Promise<boolean> {
    return (await this.#run(['ps', '--all', '--quiet'])).trim() !== ''
  }

  /** Removes all containers and the network between them. Volumes stay. */
  async leave(): Promise<void> {
    await this.#run(['down'])
  }

  async #run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    return await work('docker', [...this.#compose, ...args], env)
  }
}

/** The variables that `compose.yaml` reads. */
function environmentOf(kind: ServerKind, { ports, secret, durable }: Container): Readonly<Record<string, string>> {
  const port = kind.variable.replace(/_URL$/, '_PORT')
  return {
    [port]: String(ports['main']),
    BUSBAR_SECRET: secret,
    BUSBAR_REDIS_APPENDFSYNC: durable ? 'always' : 'everysec',
    BUSBAR_NATS_SYNC_INTERVAL: durable ? 'always' : '2m',
    BUSBAR_KAFKA_FLUSH: durable ? '1' : '9223372036854775807',
  }
}
