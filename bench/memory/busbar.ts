import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'

export const open: Open = (payloadBytes) => openBusbar('memory:', payloadBytes)
