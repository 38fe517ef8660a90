/** Group `notify`: tells people of what they would want to know at once. */
import type { EventBus, Message, Subscription } from 'busbar'

import { contracts } from '../contracts.ts'
import type { Inbox } from './inbox.ts'

interface Notification {
  readonly recipient: string
  readonly text: string
}

/** Sees every kind, through a pattern, and picks out a few. */
export function subscribeNotify(bus: EventBus, inbox: Inbox): Promise<Subscription> {
  const insert = inbox.database.prepare('INSERT INTO notification VALUES (?, ?, ?)')
  const notify = (message: Message): void => {
    const wanted = notificationOf(message)
    if (wanted !== undefined) insert.run(message.id, wanted.recipient, wanted.text)
  }
  return bus.subscribe('github.*', (message, context) => inbox.once(message, context, () => notify(message)), {
    group: 'notify',
    name: 'notify',
  })
}

function notificationOf(message: Message): Notification | undefined {
  const where = message.subject ?? 'GitHub'
  if (contracts.security_advisory.is(message)) {
    const { ghsa_id, severity, summary } = message.data.security_advisory
    return { recipient: 'security', text: `${ghsa_id} (${severity}): ${summary}` }
  }
  if (contracts.code_scanning_alert.is(message)) {
    const { number, rule } = message.data.alert
    return { recipient: 'security', text: `${where}: code alert #${number}: ${rule.description}` }
  }
  if (contracts.dependabot_alert.is(message)) {
    const { summary, severity } = message.data.alert.security_advisory
    return { recipient: 'security', text: `${where}: ${summary} (${severity})` }
  }
  if (contracts.check_run.is(message) && message.data.check_run.conclusion === 'failure') {
    return { recipient: 'developers', text: `${where}: check ${message.data.check_run.name} failed` }
  }
  if (contracts.workflow_job.is(message) && message.data.workflow_job.conclusion === 'failure') {
    return { recipient: 'developers', text: `${where}: job ${message.data.workflow_job.name} failed` }
  }
  if (contracts.release.is(message) && message.data.action === 'published') {
    return { recipient: 'everyone', text: `${where}: release ${message.data.release.tag_name} is out` }
  }
  if (contracts.sponsorship.is(message) && message.data.action === 'created') {
    const { sponsor, sponsorable } = message.data.sponsorship
    return { recipient: sponsorable.login, text: `${sponsor.login} sponsors you` }
  }
  return undefined
}
