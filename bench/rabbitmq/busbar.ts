import { RabbitMqBroker } from 'busbar/rabbitmq'
import { openBusbar } from '../busbar.ts'
import type { Open } from '../subject.ts'
import { connected, prefixOf, url } from './settings.ts'

export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`busbar-${payloadBytes}`)
  const subject = await openBusbar(`${url}?prefix=${prefix}`, payloadBytes)
  const close = async (): Promise<void> => {
    await subject.close()
    await remove(prefix)
  }
  return { ...subject, close }
}

/** Removes what a subject has left on the server. */
async function remove(prefix: string): Promise<void> {
  const broker = new RabbitMqBroker({ url, prefix })
  await broker.start()
  const { groups } = await broker.metrics()
  for (const { group } of groups) await broker.deleteGroup(group)
  await broker.stop()
  const model = await connected()
  const channel = await model.createChannel()
  const topic = `${prefix}:events`
  for (const queue of [`${topic}::partitions`, `${topic}::later`, `${prefix}:::registry`, `${prefix}:::brokers`]) {
    await channel.deleteQueue(queue)
  }
  for (const exchange of [topic, `${topic}::any`, `${topic}::later`, `${prefix}:::talk`]) {
    await channel.deleteExchange(exchange)
  }
  await model.close()
}
