import { MemoryBroker } from 'busbar/memory'
import { EventBus } from 'busbar'
import { expect, test } from 'vitest'

import { contracts } from './contracts.ts'
import { headlines } from './handlers/headlines.ts'
import { keyOf, messageOf, payloads } from './payloads.ts'

test('there are 329 payloads of 58 kinds, and a contract for each kind under its own name', () => {
  expect(payloads).toHaveLength(329)
  expect(new Set(payloads.map(({ kind }) => kind)).size).toBe(58)
  for (const [kind, contract] of Object.entries(contracts)) expect(contract.type).toBe(`github.${kind}`)
  expect(Object.keys(contracts)).toHaveLength(58)
})

test('every payload fits the contract of its kind, and its headline has no gap', async () => {
  for (const { kind, body } of payloads) {
    const result = await contracts[kind].schema['~standard'].validate(body)
    expect(result.issues, `${kind}: ${JSON.stringify(result.issues)}`).toBeUndefined()
    const headline = headlines[kind] as (data: unknown) => string
    const text = headline((result as { value: unknown }).value)
    expect(text).not.toMatch(/undefined|null|\[object|  /)
    expect(text.length).toBeGreaterThan(3)
  }
})

test('handlers get what the schema declares, while the payload travels whole', async () => {
  const push = payloads.find(({ kind }) => kind === 'push')
  const message = messageOf(push!, { id: 'm-1', sequence: 7 })
  expect(message.data).toBe(push!.body)
  await using bus = new EventBus(new MemoryBroker())
  const seen: unknown[] = []
  await bus.subscribe(
    contracts.push,
    ({ data, metadata }) => seen.push([Object.keys(data).toSorted(), metadata['sequence']]),
    {
      group: 'g',
    },
  )
  await bus.publish(message)
  await bus.idle()
  expect(seen).toEqual([[['commits', 'pusher', 'ref', 'repository', 'sender'], '7']])
})

test('a payload that lacks what the handlers use is refused at publish, with the path', async () => {
  await using bus = new EventBus(new MemoryBroker())
  const broken = messageOf(
    { kind: 'push', body: { ref: 'refs/heads/main', commits: [{}] } },
    { id: 'm-1', sequence: 1 },
  )
  await expect(bus.publish(broken)).rejects.toThrow(/github\.push.*commits\[0\]\.id/)
})

test('order is kept by repository, else by organisation, else by who did it', () => {
  expect(keyOf({ kind: 'star', body: { repository: { full_name: 'a/b' }, organization: { login: 'o' } } })).toBe('a/b')
  expect(keyOf({ kind: 'team', body: { organization: { login: 'o' }, sender: { login: 's' } } })).toBe('o')
  expect(keyOf({ kind: 'installation', body: { sender: { login: 's' } } })).toBe('s')
  expect(keyOf({ kind: 'security_advisory', body: {} })).toBe('github')
})
