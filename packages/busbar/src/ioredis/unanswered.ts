import { connect } from 'node:net'
import type { Redis } from 'ioredis'
import { BrokerError } from '../broker/index.ts'

/** So many connections that end before the first answer, and none that lasted, are no accident. */
const MOST_UNANSWERED = 12
/** Milliseconds. */
const ASKING = 1_000

/** The connection broke before the answer came: nobody knows whether the command was carried out. */
export class ConnectionCutError extends BrokerError {
  override readonly name: string = 'ConnectionCutError'
}

type Command = Parameters<Redis['sendCommand']>[0]

/**
 * The client forgets commands without an answer when a connection breaks, and those that wait to be sent when it is told to
 * disconnect while the server is away; and their promises with them. Here they fail. What waits for a server goes on waiting.
 *
 * @param resend The client sends what has no answer again: nothing fails because a connection broke.
 * @returns what ends everything that has no answer yet.
 */
export function failUnanswered(redis: Redis, resend: boolean): () => void {
  const waiting = new Set<Command>()
  const sent = new Set<Command>()
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (command, stream) => {
    const pending = redis.status === 'ready' ? sent : waiting
    pending.add(command)
    const done = (): void => {
      waiting.delete(command)
      sent.delete(command)
    }
    command.promise.then(done, done)
    return send(command, stream)
  }
  const fail = (commands: Set<Command>, error: Error): void => {
    for (const command of commands) command.reject(error)
    commands.clear()
  }
  redis.on('close', () => {
    if (!resend) fail(sent, new ConnectionCutError('the connection to Redis broke before the answer came'))
  })
  redis.on('ready', () => {
    // What waited has been sent now.
    for (const command of waiting) sent.add(command)
    waiting.clear()
  })
  return () => {
    fail(sent, new BrokerError('the connection to Redis was closed before the answer came'))
    fail(waiting, new BrokerError('the connection to Redis was closed before this could be sent'))
  }
}

/** A server that takes connections and ends them without an answer wants something else, mostly TLS. */
export function refuseUnanswered(redis: Redis, refuse: (error: Error) => void): void {
  let unanswered = 0
  let connected = false
  let answered = false
  redis.on('connect', () => (connected = true))
  redis.on('ready', () => (answered = true))
  redis.on('close', () => {
    if (connected && !answered) unanswered++
    connected = false
    if (unanswered === MOST_UNANSWERED) {
      refuse(new Error('it ends every connection without an answer, as a server does that wants TLS'))
    }
  })
}

/** A server without TLS takes the beginning of TLS for a command that goes on, and says nothing: it is asked without. */
export function refusePlain(redis: Redis, refuse: (error: Error) => void): void {
  const { tls, host = '127.0.0.1', port = 6379 } = redis.options
  if (tls === undefined) return
  redis.on('error', (error: Error) => {
    if (!error.message.includes('ETIMEDOUT')) return
    const socket = connect({ host, port }, () => socket.write('PING\r\n'))
    socket.setTimeout(ASKING, () => socket.destroy())
    socket.on('error', () => {})
    socket.once('data', (answer) => {
      socket.destroy()
      if (/^[+-]/.test(String(answer))) refuse(new Error('it talks without TLS, and not with it'))
    })
  })
}
