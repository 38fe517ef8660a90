import 'reflect-metadata'
import { Injectable, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { CqrsModule, EventBus, EventsHandler } from '@nestjs/cqrs'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'

class OrderPlaced {
  readonly data: Payload
  constructor(data: Payload) {
    this.data = data
  }
}

class OrderPlacedHandler {
  static tally = new Tally()

  async handle(_event: OrderPlaced): Promise<void> {
    OrderPlacedHandler.tally.add()
  }
}

class AppModule {}

// Decorators called by hand: type stripping leaves the syntax of them as it is, and Node cannot read it.
Injectable()(OrderPlacedHandler)
EventsHandler(OrderPlaced)(OrderPlacedHandler)
Module({ imports: [CqrsModule.forRoot()], providers: [OrderPlacedHandler] })(AppModule)

/** An application of Nest with its CQRS module and one registered handler. */
export const open: Open = async (payloadBytes) => {
  const tally = (OrderPlacedHandler.tally = new Tally())
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false })
  await app.init()
  const bus = app.get(EventBus)
  const payload = payloads(payloadBytes)
  const one = (n: number): unknown => bus.publish(new OrderPlaced(payload(n)))
  return { tally, one, window: together(one), close: () => app.close() }
}
