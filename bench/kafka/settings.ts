import { Admin } from '@platformatic/kafka'

/** The server that all subjects use. */
export const url = serverUrl()
export const bootstrapBrokers = [new URL(url).host]

function serverUrl(): string {
  const given = process.env['BUSBAR_KAFKA_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_KAFKA_URL is not set: eval "$(./script/brokers up kafka)" starts a server and sets it')
}

/** First part of the topics of one subject in one process. */
export const prefixOf = (subject: string): string => `busbar-bench-${process.pid}-${subject}`

/** For what is not measured. */
export function manager(): Admin {
  return new Admin({ clientId: 'bench', bootstrapBrokers })
}

/** Removes the topics and groups of a subject. */
export async function remove(admin: Admin, prefix: string): Promise<void> {
  const mine = (name: string): boolean => name.startsWith(`${prefix}.`)
  const groups = [...(await admin.listGroups()).keys()].filter(mine)
  if (groups.length > 0) await admin.deleteGroups({ groups }).catch(() => undefined)
  const topics = (await admin.listTopics()).filter(mine)
  if (topics.length > 0) await admin.deleteTopics({ topics })
}
