/** How the processes of a run make their broker. */
import type { Capabilities } from '../packages/busbar/src/broker/index.ts'
import type { ConformanceTarget, TargetModule } from '../packages/busbar/src/testing/conformance/target.ts'
import type { OwnServer } from '../script/servers/start.ts'
import type { Proxy } from './proxy.ts'
import type { Place } from './words.ts'

/** The broker is none that promises to keep messages while processes die. */
export class NotDurableError extends Error {
  override readonly name: string = 'NotDurableError'
}

/** Milliseconds; short, so that what a killed process had is taken over within the run. */
const lease = 2_000

/** They see their server through the proxy only. */
export function placeOf(target: ConformanceTarget, server?: OwnServer, proxy?: Proxy): Place {
  const settings = { ...target.settings }
  if (server !== undefined && proxy !== undefined) {
    const url = new URL(server.url)
    url.port = String(proxy.port)
    settings['url'] = url.href
  }
  return { module: target.module, options: { namespace: `chaos-${process.pid}`, lease, settings } }
}

/** @throws NotDurableError */
export async function capabilitiesOf({ module, options }: Place): Promise<Capabilities> {
  const target = (await import(/* @vite-ignore */ module)) as TargetModule
  const { capabilities, name } = await target.createBroker(options)
  const { durable, multiProcess, groups: hasGroups, delivery } = capabilities
  if (durable && multiProcess && hasGroups && delivery === 'at-least-once') return capabilities
  throw new NotDurableError(
    `${name} does not promise to keep messages while processes die: chaos is for durable brokers that several processes share`,
  )
}
