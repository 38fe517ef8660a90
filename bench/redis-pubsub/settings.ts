/** The server that all subjects use. */
export const url = serverUrl()

function serverUrl(): string {
  const given = process.env['BUSBAR_REDIS_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_REDIS_URL is not set: eval "$(./script/brokers up redis)" starts a server and sets it')
}

/** First part of the channels of one subject in one process. Nothing is left of them on the server. */
export const prefixOf = (subject: string): string => `busbar-bench-${process.pid}-${subject}`
