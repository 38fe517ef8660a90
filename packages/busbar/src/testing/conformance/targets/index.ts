import { extname } from 'node:path'
import type { ConformanceTarget } from '../target.ts'

/** Brokers of this package that the suite can be run over by name. */
export const builtInTargets = [
  'memory',
  'sqlite',
  'postgres',
  'redis-streams',
  'hybrid',
  'redis-pubsub',
  'nats',
  'kafka',
  'bullmq',
  'rabbitmq',
] as const

export type BuiltInTarget = (typeof builtInTargets)[number]

/** Where those that need a server find it: variables that `./script/brokers up` prints. */
export const serverVariables: Readonly<Partial<Record<string, string>>> = {
  postgres: 'BUSBAR_POSTGRES_URL',
  'redis-streams': 'BUSBAR_REDIS_URL',
  'redis-pubsub': 'BUSBAR_REDIS_URL',
  nats: 'BUSBAR_NATS_URL',
  kafka: 'BUSBAR_KAFKA_URL',
  bullmq: 'BUSBAR_REDIS_URL',
  rabbitmq: 'BUSBAR_RABBITMQ_URL',
}

/** The target of one of Busbar's own brokers. */
export function targetOf(name: BuiltInTarget): ConformanceTarget
export function targetOf(name: string): ConformanceTarget | undefined
export function targetOf(name: string): ConformanceTarget | undefined {
  if (!(builtInTargets as readonly string[]).includes(name)) return undefined
  const url = process.env[serverVariables[name] ?? '']
  return {
    name,
    module: new URL(`./${name}${extname(import.meta.url)}`, import.meta.url).href,
    // Child processes have no other way to know it.
    ...(url === undefined ? {} : { settings: { url } }),
  }
}
