import * as aside from './aside.ts'
import * as checkpoints from './checkpoints.ts'
import * as events from './events.ts'
import * as leases from './leases.ts'
import { publish, publishOne } from './publish.ts'
import { settle } from './settle.ts'
import { step } from './step.ts'
import * as topic from './topic.ts'

const ofGroup = (lua: string): Script => ({ lua, numberOfKeys: 2 })
const ofTopic = (lua: string): Script => ({ lua, numberOfKeys: 1 })
const ofStore = (lua: string): Script => ({ lua, numberOfKeys: 1 })

interface Script {
  readonly lua: string
  readonly numberOfKeys: number
}

/** Every write that has to be atomic or fenced. The keys of `ofGroup` are the group's hash and what the topic's keys begin with. */
export const scripts = {
  busbarEnter: ofGroup(leases.enter),
  busbarBeat: ofGroup(leases.beat),
  busbarClaim: ofGroup(leases.claim),
  busbarResync: ofGroup(leases.resync),
  busbarRelease: ofGroup(leases.release),
  busbarLeave: ofGroup(leases.leave),
  busbarDropGroup: ofGroup(leases.dropGroup),
  busbarStep: ofGroup(step),
  busbarSettle: ofGroup(settle),
  busbarPut: ofGroup(aside.put),
  busbarRedrive: ofGroup(aside.redrive),
  busbarDiscard: ofGroup(aside.discard),
  busbarTakeRedriven: ofGroup(aside.takeRedriven),
  busbarPublish: ofTopic(publish),
  busbarPublishOne: ofTopic(publishOne),
  busbarMoveDelayed: ofTopic(topic.moveDelayed),
  busbarTrim: ofTopic(topic.trim),
  busbarMeasure: ofTopic(topic.measure),
  busbarAppendEvents: ofStore(events.append),
  busbarReadAll: ofStore(events.readAll),
  busbarReadStream: ofStore(events.readStream),
  busbarRemoveEvents: ofStore(events.remove),
  busbarSweepEvents: ofStore(events.sweep),
  busbarClaimCheckpoint: ofStore(checkpoints.claim),
  busbarAdvanceCheckpoint: ofStore(checkpoints.advance),
  busbarReleaseCheckpoint: ofStore(checkpoints.release),
  busbarGetCheckpoint: ofStore(checkpoints.get),
  busbarDropCheckpoint: ofStore(checkpoints.drop),
} as const
