/** A target whose storage is a sound one with the defect that the setting `defect` names. */
import { extname } from 'node:path'
import type { EventStorage } from '../../../store/index.ts'
import type { TargetOptions } from '../../suite/target.ts'
import type { EventStoreTarget, StorageFaults, UserDatabase } from '../target.ts'
import * as memory from '../targets/memory.ts'
import * as sqlite from '../targets/sqlite.ts'
import type { Defect } from './defect.ts'
import { defects } from './defects.ts'
import { soundlyLate } from './late.ts'

/** By namespace: the last that was made there is the one whose appends are held. */
const made = new Map<string, EventStorage>()

export function createStorage(options: TargetOptions): EventStorage {
  const { base, wrap } = wrapping(options)
  const storage = wrap(base === 'sqlite' ? sqlite.createStorage(options) : memory.createStorage())
  made.set(options.namespace, storage)
  return storage
}

export function cleanup(options: TargetOptions): void {
  made.delete(options.namespace)
  sqlite.cleanup(options)
}

export const userDatabase: UserDatabase = sqlite.userDatabase

export const faults: StorageFaults = {
  holdAppend(options, appends) {
    const storage = made.get(options.namespace)
    const { hold } = wrapping(options)
    if (storage === undefined || hold === undefined) throw new Error('this defect holds nothing open')
    return hold(storage, appends)
  },
}

/** @param defect Without one: sound, with appends that can be held open. */
export function brokenTarget(defect?: Defect): EventStoreTarget {
  const module = new URL(`./target${extname(import.meta.url)}`, import.meta.url).href
  if (defect === undefined) return { name: 'a sound storage that holds back', module, settings: {} }
  return { name: `a storage that ${defect.does}`, module, settings: { defect: defect.does } }
}

function wrapping({ settings }: TargetOptions): Pick<Defect, 'base' | 'wrap' | 'hold'> {
  if (settings['defect'] === undefined) return soundlyLate
  const defect = defects.find(({ does }) => does === settings['defect'])
  if (defect === undefined) throw new Error(`there is no defect '${settings['defect']}'`)
  return defect
}
