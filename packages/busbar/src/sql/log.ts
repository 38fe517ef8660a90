import type { EncodedMessage } from '../message/message.ts'
import type { SqlValue } from './executor.ts'
import { MESSAGE_COLUMNS, messageColumns, messageValues, placeholders } from './rows.ts'

/** Appends one message to the log. Values: `logValues`. */
export const APPEND =
  `INSERT INTO busbar_messages (topic, partition, ${messageColumns}) ` +
  `VALUES (${placeholders(MESSAGE_COLUMNS.length + 2)})`

export function logValues(topic: number, partition: number, message: EncodedMessage): SqlValue[] {
  return messageValues(message, topic, partition)
}
