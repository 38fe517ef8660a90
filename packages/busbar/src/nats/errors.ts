import { BrokerError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { shown } from './address.ts'
import type { Settings } from './options.ts'

/** Undefined: it may help to try again. */
export function refusalOf(error: Error, { address }: Settings): Error | undefined {
  const { name, message } = error
  const options = { cause: error }
  if (/authoriz|authentic/i.test(`${name} ${message}`)) {
    return new BrokerError(
      `the NATS server at ${shown(address)} refuses these credentials (${message}): check 'user' and 'password', 'token', ` +
        `'credentials' or 'nkey'`,
      options,
    )
  }
  if (/certificate|\btls\b|ssl|handshake|doesn't exist|PEM/i.test(message)) {
    return new BrokerError(
      `no TLS with the NATS server at ${shown(address)}: ${message}; check 'servers' (tls:// or nats://) and 'tls' (caFile, certFile, keyFile)`,
      options,
    )
  }
  return undefined
}

export function unreachable({ message }: Error, { address, connectTimeout }: Settings): BrokerError {
  return new BrokerError(
    `the NATS server at ${shown(address)} could not be reached within ${connectTimeout} ms ('connectTimeout'): ${message}; ` +
      `check 'servers'`,
  )
}

export function silentJetStream(error: unknown): Error {
  const explained = explain(error, 'use JetStream')
  if (explained !== error) return explained
  return new BrokerError(
    `JetStream of the NATS server does not answer: ${explained.message}; is it enabled for this account?`,
    { cause: error },
  )
}

/** An error of the client in words that say what to change; others as they are. */
export function explain(error: unknown, doing: string): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  const { subject, operation } = violation(error) ?? {}
  if (subject !== undefined) {
    return new BrokerError(
      `this NATS user may not ${operation} '${subject}', and cannot ${doing} without: change its permissions ` +
        `(publish: $JS.API.>, $JS.ACK.> and '<prefix>.>'; subscribe: _INBOX.>)`,
      { cause: error },
    )
  }
  if (/jetstream (is )?not enabled/i.test(error.message)) {
    return new ConfigurationError(`JetStream is not enabled for this account of the NATS server: cannot ${doing}`, {
      cause: error,
    })
  }
  return error
}

function violation(error: Error): { readonly subject: string; readonly operation: string } | undefined {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each.name !== 'PermissionViolationError') continue
    const { subject = '', operation = 'use' } = each as { subject?: string; operation?: string }
    return {
      subject,
      operation: operation === 'publish' ? 'publish to' : operation === 'subscription' ? 'subscribe to' : operation,
    }
  }
  return undefined
}
