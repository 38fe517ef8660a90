import { type ChannelModel, connect } from 'amqplib'

/** The server that all subjects use. */
export const url = serverUrl()

function serverUrl(): string {
  const given = process.env['BUSBAR_RABBITMQ_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_RABBITMQ_URL is not set: eval "$(./script/brokers up rabbitmq)" starts a server and sets it')
}

/** First part of the names of one subject in one process. */
export const prefixOf = (subject: string): string => `busbar-bench-${process.pid}-${subject}`

/** A connection of amqplib, which does not wait to fill packets. */
export async function connected(): Promise<ChannelModel> {
  const model = await connect(url, { noDelay: true })
  model.on('error', () => {})
  return model
}
