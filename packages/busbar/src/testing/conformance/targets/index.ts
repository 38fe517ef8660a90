import { extname } from 'node:path'
import type { ConformanceTarget } from '../target.ts'

/** Brokers of this package that the suite can be run over by name. */
export const builtInTargets = ['memory', 'sqlite'] as const

export type BuiltInTarget = (typeof builtInTargets)[number]

/** The target of one of Busbar's own brokers. */
export function targetOf(name: BuiltInTarget): ConformanceTarget
export function targetOf(name: string): ConformanceTarget | undefined
export function targetOf(name: string): ConformanceTarget | undefined {
  if (!(builtInTargets as readonly string[]).includes(name)) return undefined
  return { name, module: new URL(`./${name}${extname(import.meta.url)}`, import.meta.url).href }
}
