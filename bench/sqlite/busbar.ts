import { join } from 'node:path'
import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { SYNCHRONOUS } from './settings.ts'

export const open: Open = (payloadBytes, folder) =>
  openBusbar(`sqlite:${join(folder, 'busbar.db')}?synchronous=${SYNCHRONOUS}`, payloadBytes)
