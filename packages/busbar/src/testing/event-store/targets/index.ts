import { extname } from 'node:path'
import type { EventStoreTarget } from '../target.ts'

/** Storages of this package that the suite can be run over by name, and the variable that names the server of those that need one. */
const storages: Readonly<Record<string, string | undefined>> = {
  memory: undefined,
  sqlite: undefined,
  redis: 'BUSBAR_REDIS_URL',
  postgres: 'BUSBAR_POSTGRES_URL',
}

export const builtInStorages: readonly string[] = Object.keys(storages)

/** The variable that names a storage's server, as `./script/brokers up` prints it. */
export function serverOf(storage: string): string | undefined {
  return storages[storage]
}

/** The target of one of Busbar's own storages. */
export function storageOf(name: string): EventStoreTarget | undefined {
  if (!builtInStorages.includes(name)) return undefined
  const url = process.env[serverOf(name) ?? '']
  return {
    name,
    module: new URL(`./${name}${extname(import.meta.url)}`, import.meta.url).href,
    // Child processes have no other way to know it.
    ...(url === undefined ? {} : { settings: { url } }),
  }
}
