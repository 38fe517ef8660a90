import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { find, installPackages, work } from './install.ts'
import { ask } from './probe.ts'
import { type Place, type Say, type ServerKind, ServerError } from './server.ts'

/** The newest release that is complete in Maven Central; `compose.yaml` names the same. */
export const kafkaVersion = '4.3.1'
const defaultPort = 9092
const oldestJava = 17

/** Apache Kafka in KRaft mode: one node, broker and controller in one. `durable` syncs each batch to the disk. */
export const kafka: ServerKind = {
  name: 'kafka',
  variable: 'BUSBAR_KAFKA_URL',
  defaultPort,
  ports: ['main', 'controller'],
  stopSignal: 'SIGTERM',

  async install(cache, say) {
    const java = await findJava(say)
    const libraries = join(cache, `kafka-${kafkaVersion}`)
    if (!existsSync(libraries)) await download(libraries, cache, say)
    return { java, libraries }
  },

  async prepare(place) {
    const { folder, ports, durable, programs, advertised = ports['main'] } = place
    const listener = (name: string, role: string): string => `${name}://127.0.0.1:${ports[role]}`
    const settings = {
      'process.roles': 'broker,controller',
      'node.id': 1,
      'controller.quorum.voters': `1@127.0.0.1:${ports['controller']}`,
      listeners: `${listener('PLAINTEXT', 'main')},${listener('CONTROLLER', 'controller')}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${advertised}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'controller.listener.names': 'CONTROLLER',
      'inter.broker.listener.name': 'PLAINTEXT',
      'log.dirs': join(folder, 'log-segments'),
      // There is one node to keep them on.
      'offsets.topic.replication.factor': 1,
      'transaction.state.log.replication.factor': 1,
      'transaction.state.log.min.isr': 1,
      'share.coordinator.state.topic.replication.factor': 1,
      'share.coordinator.state.topic.min.isr': 1,
      // Tests make many topics and groups: small ones, and no waiting for members that do not come.
      'offsets.topic.num.partitions': 8,
      'transaction.state.log.num.partitions': 8,
      'group.initial.rebalance.delay.ms': 0,
      // After a kill -9 the next start is refused until the killed one's session is over.
      'broker.session.timeout.ms': 5000,
      'broker.heartbeat.interval.ms': 1000,
      ...(durable ? { 'log.flush.interval.messages': 1 } : {}),
    }
    const file = join(folder, 'server.properties')
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${String(value).replaceAll('\\', '\\\\')}\n`)
    await writeFile(file, lines.join(''))

    const format = ['format', '--ignore-formatted', '-t', clusterId(place.secret), '-c', file]
    if (!existsSync(join(folder, 'log-segments', 'meta.properties'))) {
      await work(programs['java'] ?? '', [...classPath(place), 'kafka.tools.StorageTool', ...format])
    }
  },

  async commands(place) {
    const { folder, programs } = place
    const machine = [
      '-Xms256m',
      '-Xmx1g',
      '-XX:+ExitOnOutOfMemoryError',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    ]
    const args = [...machine, ...classPath(place), 'kafka.Kafka', join(folder, 'server.properties')]
    return [{ role: 'server', file: programs['java'] ?? '', args }]
  },

  url: ({ ports }) => `kafka://127.0.0.1:${ports['main']}`,

  /** ApiVersions, version 0. The broker takes it once it has joined its cluster. */
  answers: (url) =>
    ask({
      url,
      defaultPort,
      bytes: apiVersionsRequest,
      isAnswer(received) {
        if (received.length < 10) return false
        if (received.readInt32BE(4) !== correlation) throw new Error('this is not a Kafka broker')
        const error = received.readInt16BE(8)
        if (error !== 0) throw new Error(`ApiVersions was answered with error ${error}`)
        return true
      },
    }),
}

const correlation = 0x62_75_73
/** Size, key 18, version 0, correlation id, and no client id. */
const apiVersionsRequest = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0x62, 0x75, 0x73, 0xff, 0xff])

function classPath({ programs }: Pick<Place, 'programs'>): readonly string[] {
  return ['-cp', join(programs['libraries'] ?? '', '*')]
}

/** A UUID in Kafka's spelling: 16 bytes, base64 for URLs. Never with `-` in front, which its tools would take for an option. */
export function clusterId(secret: string): string {
  const bytes = Buffer.from(secret.padEnd(32, '0').slice(0, 32), 'hex')
  return Buffer.concat([Buffer.of((bytes[0] ?? 0) & 0x7f), bytes.subarray(1)]).toString('base64url')
}

async function findJava(say: Say): Promise<string> {
  const found = await findNewJava()
  if (found !== undefined) return found
  await installPackages(['openjdk-17-jre-headless', 'openjdk-21-jre-headless', 'openjdk-25-jre-headless'], say)
  const java = await findNewJava()
  if (java === undefined)
    throw new ServerError(`Kafka needs Java ${oldestJava} or newer, and the java in PATH is older`)
  return java
}

async function findNewJava(): Promise<string | undefined> {
  const home = process.env['JAVA_HOME']
  const java = await find('java', home === undefined ? [] : [join(home, 'bin')])
  if (java === undefined) return undefined
  const version = /version "(\d+)/.exec(await work(java, ['-version']))?.[1]
  return Number(version) >= oldestJava ? java : undefined
}

/** Lets Maven resolve Kafka and what it depends on, and a logger that prints. The folder appears only when it is whole. */
async function download(libraries: string, cache: string, say: Say): Promise<void> {
  if ((await find('mvn')) === undefined) await installPackages(['maven'], say)
  const maven = await find('mvn')
  if (maven === undefined) throw new ServerError('the package maven brought no mvn')
  say(`downloading Apache Kafka ${kafkaVersion}`)
  const half = `${libraries}.half`
  await rm(half, { recursive: true, force: true })
  await mkdir(half, { recursive: true })
  const project = join(cache, 'kafka.pom.xml')
  await writeFile(project, pom)
  await work(maven, [
    '--batch-mode',
    '--quiet',
    '--file',
    project,
    `-Dmaven.repo.local=${join(cache, 'maven')}`,
    'dependency:copy-dependencies',
    '-DincludeScope=runtime',
    `-DoutputDirectory=${half}`,
  ])
  await rename(half, libraries)
}

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

const pom = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>busbar</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', kafkaVersion)}
    ${dependency('org.slf4j', 'slf4j-simple', '1.7.36')}
  </dependencies>
</project>
`
