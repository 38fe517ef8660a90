/** The shop: one log of events, a bus that publishes it, orders, read models, and the warehouse. */
import { randomBytes } from 'node:crypto'

import { createEventBus, type EventBus, silentLogger, type Subscription } from 'busbar'
import { type DeciderRepository, repository } from 'busbar/aggregates'
import { EventStore } from 'busbar/eventstore'
import { PersonalData, SqlKeyStore } from 'busbar/privacy'
import { InlineProjections, Projections, type SqlModel, SqlReadModel } from 'busbar/projections'

import { commands, events, OrderPlacedV1 } from './contracts.ts'
import { DatabaseError, type Place } from './database.ts'
import { Orders } from './models/orders.ts'
import { Revenue } from './models/revenue.ts'
import { Order, type OrderState } from './order.ts'
import { GROUP, openWarehouse, subscribeWarehouse } from './warehouse.ts'

type Command = Parameters<typeof Order.decide>[0]

export class Shop {
  readonly bus: EventBus
  readonly store: EventStore<(typeof events)[number]>
  readonly orders: DeciderRepository<Command, OrderState>
  readonly inline: InlineProjections
  readonly projections: Projections<SqlModel>
  readonly privacy: PersonalData
  private readonly place: Place
  private readonly broker: string | undefined
  private warehouse: Subscription | undefined

  private constructor(place: Place, broker: string | undefined, bus: EventBus, privacy: PersonalData) {
    this.place = place
    this.broker = broker
    this.bus = bus
    this.privacy = privacy
    const storage = bus.getStore()
    if (storage === undefined) throw new Error('the bus has no store')
    this.store = new EventStore(storage, { contracts: events, source: 'orders', privacy })
    this.orders = repository(this.store, Order, {
      category: 'order',
      // Orders are short: after three events, so that there are some. The address is encrypted in them as well.
      snapshots: { every: 3, personal: ['email'], person: ({ customerId }) => customerId },
    })
    const models = new SqlReadModel(place.database)
    this.inline = new InlineProjections(this.store, models, [Orders])
    this.projections = new Projections(this.store, models, [Revenue])
  }

  /**
   * Opens the log. Its events go to the bus's handlers by the commit that appends them; with `broker`, the URL of another one, a
   * relay takes them there.
   *
   * @throws DatabaseError where there are orders already.
   */
  static async open(place: Place, broker?: string): Promise<Shop> {
    // Whoever wants to read personal data again keeps the key that encrypts the keys: BUSBAR_MASTER_KEY.
    const masterKey = process.env['BUSBAR_MASTER_KEY'] ?? randomBytes(32)
    const privacy = new PersonalData({ keys: new SqlKeyStore({ database: place.keys, masterKey }) })
    const bus = await createEventBus({
      broker: broker ?? place.log,
      store: broker === undefined ? true : place.log,
      source: 'orders',
      contracts: [...events, ...commands],
      privacy,
    })
    try {
      const shop = new Shop(place, broker, bus, privacy)
      await shop.store.start()
      for await (const _ of shop.store.readAll({ limit: 1 })) {
        throw new DatabaseError(`there are events already in ${place.title}: name an empty place with --database`)
      }
      return shop
    } catch (error) {
      await bus.stop()
      throw error
    }
  }

  /** The store as the first release had it: it knew the first version of the contract. */
  firstRelease(): EventStore<typeof OrderPlacedV1> {
    return new EventStore(this.store.storage, { contracts: [OrderPlacedV1], source: 'orders', privacy: this.privacy })
  }

  /** From here on read models are kept and parcels are sent. What happened before comes into the models now. */
  async openDoors(): Promise<void> {
    await openWarehouse(this.place.database)
    await this.inline.start()
    await this.projections.start()
    this.warehouse = await subscribeWarehouse(this.bus, this.place.inbox)
  }

  /** The broker of the bus by another bus, one that keeps nothing: as a relay that was killed publishes what it did already. */
  plainBus(): Promise<EventBus> {
    return createEventBus({
      broker: this.broker ?? this.place.log,
      source: 'orders',
      contracts: events,
      privacy: this.privacy,
      logger: silentLogger,
    })
  }

  /** Rows of the read models, as anybody reads them. */
  rows<Row>(sql: string): Promise<readonly Row[]> {
    return this.place.database.transaction(async (tx) => (await tx.execute(sql)) as readonly Row[])
  }

  async close(): Promise<void> {
    await this.projections.stop()
    await this.inline.stop()
    if (this.broker !== undefined) {
      // Nobody will read for the warehouse of this run again, and another broker would keep what comes for it.
      await this.warehouse?.unsubscribe()
      await this.bus.getBroker().deleteGroup(GROUP)
    }
    await this.bus.stop()
    await this.store.stop()
  }
}
