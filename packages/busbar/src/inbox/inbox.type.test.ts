import type { DatabaseSync } from 'node:sqlite'
import { expectTypeOf, test } from 'vitest'
import type { Pool, PoolClient } from 'pg'
import type { EventBus } from '../bus/index.ts'
import { event, typed } from '../message/index.ts'
import type { Transaction } from '../transaction/index.ts'
import { pgInbox, sqliteInbox } from './index.ts'

const Placed = event('Placed', typed<{ n: number }>())

test('a handler knows its client by the inbox, and its message by the contract', () => {
  const check = async (bus: EventBus, pool: Pool): Promise<void> => {
    await bus.subscribe(
      Placed,
      (message, { tx }) => {
        expectTypeOf(message.data).toEqualTypeOf<{ n: number }>()
        expectTypeOf(tx.client).toExtend<PoolClient>()
        expectTypeOf(tx).toExtend<Transaction>()
      },
      { group: 'g', inbox: pgInbox(pool) },
    )
    await bus.subscribe(Placed, (_, { tx }) => expectTypeOf(tx.client).toEqualTypeOf<DatabaseSync>(), {
      inbox: sqliteInbox('a.db'),
    })
    await bus.subscribe(Placed, (_, { tx }) => expectTypeOf(tx?.client).toEqualTypeOf<unknown>())
  }
  expectTypeOf(check).toBeFunction()
})
