/** A target whose broker has the defect that the setting `defect` names. */
import { extname } from 'node:path'
import type { Broker } from '../../../broker/index.ts'
import type { ConformanceTarget, TargetFaults, TargetModule, TargetOptions, TargetTransaction } from '../target.ts'
import { targetOf } from '../targets/index.ts'
import { defects } from './defects.ts'
import type { Defect } from './defect.ts'

export async function createBroker(options: TargetOptions): Promise<Broker> {
  const { defect, module } = await baseOf(options)
  return defect.wrap(await module.createBroker(options))
}

export async function cleanup(options: TargetOptions): Promise<void> {
  const { module } = await baseOf(options)
  await module.cleanup?.(options)
}

export async function begin(options: TargetOptions): Promise<TargetTransaction> {
  const { module } = await baseOf(options)
  const begun = await module.begin?.(options)
  if (begun === undefined) throw new Error('the base of this defect cannot begin a transaction')
  return begun
}

export const faults: TargetFaults = {
  async failDeadLetters(options) {
    const { module } = await baseOf(options)
    const end = await module.faults?.failDeadLetters?.(options)
    if (end === undefined) throw new Error('the base of this defect cannot cause the fault')
    return end
  },
}

export function brokenTarget(defect: Defect): ConformanceTarget {
  const module = new URL(`./target${extname(import.meta.url)}`, import.meta.url).href
  return { name: `a ${defect.base} broker that ${defect.does}`, module, settings: { defect: defect.does } }
}

async function baseOf({ settings }: TargetOptions): Promise<{ defect: Defect; module: TargetModule }> {
  const defect = defects.find(({ does }) => does === settings['defect'])
  if (defect === undefined) throw new Error(`there is no defect '${settings['defect']}'`)
  return { defect, module: (await import(/* @vite-ignore */ targetOf(defect.base).module)) as TargetModule }
}
