/** `@moleculer/channels` and the moleculer that it supports. */
export { Middleware } from '@moleculer/channels'
export { ServiceBroker } from 'moleculer'
