import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

/** The server that all subjects use. */
export const url = serverUrl()

function serverUrl(): string {
  const given = process.env['BUSBAR_NATS_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_NATS_URL is not set: eval "$(./script/brokers up nats)" starts a server and sets it')
}

/** First part of the streams of one subject in one process. */
export const prefixOf = (subject: string): string => `busbar-bench-${process.pid}-${subject}`

/** A connection for what is not measured. */
export async function manager(): Promise<{ readonly jsm: JetStreamManager; readonly close: () => Promise<void> }> {
  const nc = await connect({ servers: url })
  return { jsm: await jetstreamManager(nc), close: () => nc.close() }
}

/** Removes the streams of a subject. */
export async function remove(jsm: JetStreamManager, prefix: string): Promise<void> {
  for await (const name of jsm.streams.names()) if (name.startsWith(`${prefix}_`)) await jsm.streams.delete(name)
}
