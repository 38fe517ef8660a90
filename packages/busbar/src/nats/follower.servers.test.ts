/** Following a stream, over a server of this test's own. */
import { expect, test } from 'vitest'
import type { NatsContext } from './context.ts'
import { started } from './fixtures/messages.ts'
import { startNats } from './fixtures/servers.ts'
import { Follower } from './follower.ts'

test('what was there is read, also where some of it is deleted before it comes', async () => {
  const broker = await started({ servers: (await startNats('')).url })
  const { context } = (broker as unknown as { readonly running: { readonly context: NatsContext } }).running
  const { js, jsm, names } = context
  const subjects = Array.from({ length: 20 }, (_, n) => names.asideEntry('g', 'orders', 0, `e${n}`))
  for (const subject of subjects) await js.publish(subject, 'one')
  const seen: string[] = []
  const { follower, ready } = await Follower.open(
    context,
    { stream: names.aside, filter: names.asidesOf('g'), from: 'latest-of-each', ahead: 2 },
    async ({ subject }) => {
      seen.push(subject)
      if (seen.length === 1) await jsm.streams.purge(names.aside)
    },
  )
  try {
    await ready
    expect(seen.length).toBeLessThan(subjects.length)
    expect(seen).toEqual(subjects.slice(0, seen.length))
    // It follows what comes then.
    await js.publish(subjects[19] as string, 'two')
    await expect.poll(() => seen.at(-1), { timeout: 60_000 }).toBe(subjects[19])
  } finally {
    await follower.close()
  }
})
