import { expect, test, vi } from 'vitest'
import { NatsBroker } from './index.ts'

vi.mock('@nats-io/jetstream', () => {
  throw new Error(`Cannot find package '@nats-io/jetstream'`)
})

test('without its client the broker says how to install it', async () => {
  const starting = new NatsBroker().start()
  await expect(starting).rejects.toMatchObject({ name: 'ConfigurationError' })
  await expect(starting).rejects.toThrow('npm install @nats-io/transport-node @nats-io/jetstream')
})
