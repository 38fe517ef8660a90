import { join, resolve } from 'node:path'

/** Where everything lives: `.brokers/` in the workspace, or what `BUSBAR_BROKERS_FOLDER` names. */
export function brokersFolder(): string {
  return resolve(process.env['BUSBAR_BROKERS_FOLDER'] ?? join(import.meta.dirname, '../../.brokers'))
}

/** Downloads and builds. Never what a server wrote. */
export function cacheFolder(): string {
  return join(brokersFolder(), 'cache')
}
