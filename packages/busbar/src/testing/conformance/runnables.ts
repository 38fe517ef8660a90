import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { eventStoreChecks } from '../event-store/checks/index.ts'
import type { EventStoreOptions } from '../event-store/options.ts'
import { runEventStoreConformance } from '../event-store/runner.ts'
import { builtInStorages, serverOf, storageOf } from '../event-store/targets/index.ts'
import type { Choice, ConformanceRun } from '../suite/runner.ts'
import { conformanceChecks } from './checks/index.ts'
import type { ConformanceOptions } from './options.ts'
import { runConformance } from './runner.ts'
import { builtInTargets, serverVariables, targetOf } from './targets/index.ts'

/** A target with its suite. */
export interface Runnable {
  readonly name: string
  readonly suite: 'brokers' | 'storages'
  run(options: Choice & ConformanceOptions & EventStoreOptions): Promise<ConformanceRun>
}

/** What the names of event storages begin with, since brokers are called the same. */
const STORE = 'store:'

export const targetNames: Readonly<Record<Runnable['suite'], readonly string[]>> = {
  brokers: builtInTargets,
  storages: builtInStorages.map((name) => STORE + name),
}

/** Every built-in target, each with the variable that names its server, where it needs one. */
export function targetsWithServers(): readonly { readonly name: string; readonly variable: string | undefined }[] {
  return [
    ...builtInTargets.map((name) => ({ name, variable: serverVariables[name] })),
    ...builtInStorages.map((name) => ({ name: STORE + name, variable: serverOf(name) })),
  ]
}

/** What a name or the path of a module stands for; undefined where it is neither. */
export async function runnable(name: string): Promise<Runnable | undefined> {
  if (name.startsWith(STORE)) {
    const target = storageOf(name.slice(STORE.length))
    return target && { name, suite: 'storages', run: (options) => runEventStoreConformance(target, options) }
  }
  const broker = targetOf(name)
  if (broker !== undefined) return { name, suite: 'brokers', run: (options) => runConformance(broker, options) }
  const path = resolve(name)
  if (extname(path) === '' || !existsSync(path)) return undefined
  const target = { name, module: pathToFileURL(path).href }
  const module = (await import(target.module)) as object
  return 'createStorage' in module
    ? { name, suite: 'storages', run: (options) => runEventStoreConformance(target, options) }
    : { name, suite: 'brokers', run: (options) => runConformance(target, options) }
}

/** Names of the checks that these targets are put to; without any, of all. */
export function checkNames(chosen: readonly Runnable[]): readonly string[] {
  const suites = new Set(chosen.length === 0 ? (['brokers', 'storages'] as const) : chosen.map(({ suite }) => suite))
  return [...(suites.has('brokers') ? conformanceChecks : []), ...(suites.has('storages') ? eventStoreChecks : [])].map(
    ({ name }) => name,
  )
}
