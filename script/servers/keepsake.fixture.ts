/** Something that a server must keep through a kill -9: left and found in its own protocol, without a client. */
import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from './folder.ts'
import { postgres } from './postgres.ts'
import { ask } from './probe.ts'
import type { ServerName } from './server.ts'

export interface Keepsake {
  /** Resolves when the server has confirmed it. */
  leave(url: string): Promise<void>
  /** Whether it is still there. */
  isThere(url: string): Promise<boolean>
}

const run = promisify(execFile)

/** What the server answers, up to what ends the answer. */
async function talk(url: string, question: string | Buffer, end: (received: Buffer) => boolean): Promise<Buffer> {
  let answer: Buffer = Buffer.alloc(0)
  const isAnswer = (received: Buffer): boolean => {
    answer = received
    return end(received)
  }
  await ask({ url, defaultPort: 0, bytes: Buffer.from(question), isAnswer, timeout: 20_000 })
  return answer
}

function insist(answer: Buffer | string, isRight: boolean): void {
  if (!isRight) throw new Error(`it could not be left: ${JSON.stringify(answer.toString())}`)
}

async function ping(url: string, line: string): Promise<string> {
  return (await talk(url, `${line}\r\n`, (received) => received.includes('\r\n'))).toString()
}

async function sql(url: string, statement: string): Promise<string> {
  const { server = '' } = await postgres.install(cacheFolder(), () => undefined)
  const { stdout } = await run(join(dirname(server), 'psql'), [url, '--no-psqlrc', '-At', '-c', statement])
  return stdout.trim()
}

async function jetStream(url: string, api: string, request: string): Promise<string> {
  const publish = `PUB $JS.API.${api} answer ${request.length}\r\n${request}\r\n`
  const question = `CONNECT {"verbose":false}\r\nSUB answer 1\r\n${publish}`
  return (await talk(url, question, (received) => /MSG answer[^]*}\r\n/.test(received.toString()))).toString()
}

const bytes = (...parts: readonly (number[] | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))))
const short = (text: string): string => String.fromCharCode(text.length) + text

/** A method of AMQP 0-9-1 in its frame. */
function method(channel: number, [kind, name]: readonly [number, number], args: Buffer): Buffer {
  const payload = Buffer.concat([bytes([0, kind, 0, name]), args])
  return Buffer.concat([bytes([1, 0, channel, 0, 0, 0, payload.length]), payload, bytes([0xce])])
}

/**
 * Declares durable queues, and returns whether the server said yes to all. All is said at once; the server takes it in turn.
 * @throws Error if it closes the connection: then it was not asked
 */
async function declare(url: string, queues: readonly string[], passive: boolean): Promise<boolean> {
  const { username, password } = new URL(url)
  const login = `\0${username}\0${password}`
  const conversation = Buffer.concat([
    bytes('AMQP\x00\x00\x09\x01'),
    method(0, [10, 11], bytes([0, 0, 0, 0], short('PLAIN'), [0, 0, 0, login.length], login, short('en_US'))),
    method(0, [10, 31], bytes([0, 1, 0, 2, 0, 0, 0, 0])),
    method(0, [10, 40], bytes(short('/'), [0, 0])),
    method(1, [20, 10], bytes([0])),
    ...queues.map((queue) => method(1, [50, 10], bytes([0, 0], short(queue), [passive ? 3 : 2], [0, 0, 0, 0]))),
  ])
  const declared = bytes([0, 50, 0, 11], short(queues.at(-1) ?? ''))
  const [noQueue, closed] = [bytes([0, 20, 0, 40]), bytes([0, 10, 0, 50])]
  const answer = await talk(url, conversation, (received) =>
    [declared, noQueue, closed].some((one) => received.includes(one)),
  )
  if (answer.includes(closed)) throw new Error(`RabbitMQ closed the connection: ${JSON.stringify(answer.toString())}`)
  return answer.includes(declared)
}

const topic = bytes([0, 4], 'kept')

/** One request of Kafka's protocol, and its answer. */
async function request(url: string, [key, version]: readonly [number, number], body: Buffer): Promise<Buffer> {
  const rest = Buffer.concat([bytes([0, key, 0, version, 0, 0, 0, 7, 0xff, 0xff]), body])
  const isWhole = (received: Buffer): boolean => received.length >= 4 && received.length >= received.readInt32BE(0) + 4
  return await talk(url, Buffer.concat([bytes([0, 0, 0, rest.length]), rest]), isWhole)
}

export const keepsakes: Readonly<Record<ServerName, Keepsake>> = {
  redis: {
    async leave(url) {
      const answer = await ping(url, 'SET kept yes')
      insist(answer, answer === '+OK\r\n')
    },
    isThere: async (url) => (await ping(url, 'EXISTS kept')) === ':1\r\n',
  },
  postgres: {
    async leave(url) {
      const answer = await sql(url, "CREATE TABLE kept AS SELECT 'yes'")
      insist(answer, answer === 'SELECT 1')
    },
    isThere: async (url) => (await sql(url, 'TABLE kept')) === 'yes',
  },
  rabbitmq: {
    /**
     * RabbitMQ 3 confirms a queue when its database has it on the disk, but the note that makes it count may come after that and
     * then waits up to two seconds for the disk. The database writes in turn, so what is confirmed after it takes it along.
     */
    leave: async (url) => insist('the queues were refused', await declare(url, ['kept', 'after'], false)),
    isThere: (url) => declare(url, ['kept'], true),
  },
  nats: {
    async leave(url) {
      const answer = await jetStream(url, 'STREAM.CREATE.kept', '{"name":"kept","subjects":["yes"],"storage":"file"}')
      insist(answer, !answer.includes('error'))
    },
    isThere: async (url) => !(await jetStream(url, 'STREAM.INFO.kept', '')).includes('error'),
  },
  kafka: {
    /** CreateTopics 2: one topic, one partition, one replica, within 20 s. */
    async leave(url) {
      const one = [0, 0, 0, 1]
      const none = [0, 0, 0, 0]
      const body = Buffer.concat([bytes(one), topic, bytes(one, [0, 1], none, none, [0, 0, 0x4e, 0x20], [0])])
      const answer = await request(url, [19, 2], body)
      insist(answer, answer.readInt16BE(answer.indexOf(topic) + topic.length) === 0)
    },
    /** Metadata 4, which makes no topic; a topic's error comes before its name. */
    async isThere(url) {
      const answer = await request(url, [3, 4], Buffer.concat([bytes([0, 0, 0, 1]), topic, bytes([0])]))
      return answer.readInt16BE(answer.indexOf(topic) - 2) === 0
    },
  },
}
