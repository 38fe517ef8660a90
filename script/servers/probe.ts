/** One question to a server in its own protocol, over plain TCP or TLS. */
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Question {
  readonly url: string
  readonly defaultPort: number
  /** Undefined where the server speaks first. */
  readonly bytes?: Uint8Array
  /** Whether what came so far is the answer. Throw to say that it is the wrong one. */
  readonly isAnswer: (received: Buffer) => boolean
  /** Milliseconds; default 2000. */
  readonly timeout?: number
}

const tlsSchemes = new Set(['rediss', 'amqps', 'tls', 'kafkas'])

/** Resolves when the answer has come; rejects with the reason if it is wrong, late or refused. */
export function ask({ url, defaultPort, bytes, isAnswer, timeout = 2000 }: Question): Promise<void> {
  const { scheme, host, port } = addressOf(url, defaultPort)
  return new Promise((resolve, reject) => {
    // Nothing secret is asked, so the certificate is left to the clients that will be tested.
    const socket = tlsSchemes.has(scheme)
      ? connectTls({ host, port, servername: host, rejectUnauthorized: false })
      : connect({ host, port })
    let received = Buffer.alloc(0)
    const fail = (reason: string): void => {
      socket.destroy()
      reject(new Error(reason))
    }
    socket.setTimeout(timeout, () => fail(`no answer from ${host}:${port} within ${timeout} ms`))
    socket.once('error', (error: NodeJS.ErrnoException) => fail(`${host}:${port}: ${error.code ?? error.message}`))
    socket.once('close', () => fail(`${host}:${port} closed the connection without an answer`))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      try {
        if (!isAnswer(received)) return
      } catch (error) {
        fail(`${host}:${port}: ${(error as Error).message}`)
        return
      }
      resolve()
      socket.destroy()
    })
    if (bytes !== undefined) socket.write(bytes)
  })
}

/** The first address of a URL. Not `URL`: Kafka's and NATS' name several hosts. */
export function addressOf(url: string, defaultPort: number): { scheme: string; host: string; port: number } {
  const found = /^([a-z][a-z0-9+.-]*):\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/?#,]+)(?::(\d+))?(?=[,/?#]|$)/i.exec(url)
  if (found === null) throw new Error(`${withoutPassword(url)} is not a URL with a host`)
  const [, scheme = '', host = '', port] = found
  return {
    scheme: scheme.toLowerCase(),
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? defaultPort : Number(port),
  }
}

/** For people's eyes. */
export function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@/]*@/g, '$1:***@')
}
