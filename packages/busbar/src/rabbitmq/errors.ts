import { BrokerError } from '../broker/index.ts'
import { BusbarError, ConfigurationError } from '../message/errors.ts'

/** A queue that is there and does not answer: it has no leader. */
export class SilentQueueError extends BrokerError {
  override readonly name: string = 'SilentQueueError'

  constructor(queue: string, ms: number) {
    super(`RabbitMQ: queue ${queue} has not answered for ${ms} ms; has it a leader? See rabbitmq-queues quorum_status`)
  }
}

/** The server did not take a message, and may take it a moment later. */
export class RefusedError extends BrokerError {
  override readonly name: string = 'RefusedError'

  constructor(place: string) {
    super(`RabbitMQ refused a message for ${place}: a queue is full or has no majority`)
  }
}

/** The code of AMQP with which the server closed a channel or refused a connection. */
export function codeOf(error: unknown): number | undefined {
  const { code, message } = error as { code?: unknown; message?: string }
  if (typeof code === 'number') return code
  // The client tells the code of a refused handshake only in words.
  const found = /: (\d{3}) \(/.exec(message ?? '')
  return found === null ? undefined : Number(found[1])
}

/** The client keeps the server's reason for itself: the virtual host is not there, or not for this user. */
const NO_VHOST = /Expected ConnectionOpenOk/

/** The server has answered, and the answer will be the same next time. */
export function isFinal(error: unknown): boolean {
  if (error instanceof ConfigurationError) return true
  return [402, 403, 404, 405, 406, 530, 540].includes(codeOf(error) ?? 0)
}

/** Waiting will not make this connection possible. */
export function isHopeless(error: unknown): boolean {
  const { code, message = '' } = error as { code?: unknown; message?: string }
  if (error instanceof ConfigurationError || NO_VHOST.test(message)) return true
  if (/certificate|self.signed|wrong version number|packet length too long|handshake failure|alert/i.test(message))
    return true
  return code === 'ENOTFOUND' || [403, 530].includes(codeOf(error) ?? 0)
}

/** Says what the server meant, and which setting to look at. `doing` ends the sentence "cannot …". */
export function explain(error: unknown, doing: string): BusbarError {
  if (error instanceof BusbarError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new BrokerError(`RabbitMQ: cannot ${doing}: ${said(reason)}${hint(error, reason)}`, { cause: error })
}

/** The server's own words, without the client's around them. */
function said(reason: string): string {
  return /with message "(.*)"/s.exec(reason)?.[1] ?? reason
}

function hint(error: unknown, reason: string): string {
  switch (codeOf(error)) {
    case 403:
      return `. The user needs the permissions configure, write and read on names that begin with the option 'prefix' (rabbitmqctl set_permissions)`
    case 404:
      return `. It was deleted, or the node that holds it is down; it is declared again with the next subscribe or publish`
    case 405:
      return `. Another connection holds it exclusively: give this deployment a 'prefix' of its own`
    case 406:
      if (/timed out|consumer_timeout/i.test(reason)) {
        return `. A message was unsettled for longer than the server's consumer_timeout: raise it, or let the handler settle sooner`
      }
      if (/inequivalent arg/.test(reason)) {
        return `. It exists with other settings: delete it (or move its messages away), or use another 'prefix'; verify() tells all differences`
      }
      return ''
    default:
      return ''
  }
}

/** Why no connection could be made, naming the setting. Never holds a password. */
export function refusal(error: unknown, server: string): BusbarError {
  if (error instanceof BusbarError) return error
  const { code, message } = error as { code?: unknown; message: string }
  const text = `cannot use the RabbitMQ server ${server}: ${said(message)}`
  const cause = { cause: error }
  if (codeOf(error) === 530 || NO_VHOST.test(message)) {
    const what = NO_VHOST.test(message) ? `the RabbitMQ server ${server} refuses this virtual host` : text
    return new BrokerError(`${what}. Check the virtual host at the end of 'url', and that the user may use it`, cause)
  }
  if (codeOf(error) === 403)
    return new BrokerError(`${text}. Check user and password in 'url', or 'client.credentials'`, cause)
  if (code === 'ENOTFOUND') return new BrokerError(`${text}. Check the host in 'url'`, cause)
  if (/certificate|self.signed|altnames|hostname/i.test(message)) {
    return new BrokerError(`${text}. Check 'tls.ca' (and 'tls.servername'), or the server's certificate`, cause)
  }
  if (/wrong version number|packet length too long|handshake|alert|abruptly|ECONNRESET/i.test(message)) {
    return new BrokerError(
      `${text}. Does 'url' say amqps:// where the port takes amqp://, or the reverse? Check 'tls.cert' too`,
      cause,
    )
  }
  return new BrokerError(`${text}. Check 'url'`, cause)
}
