import type { EventBus, HandlerOptions, Registration } from '../bus/index.ts'

/** The same as `bus.register(instance, options)`. */
export function register(bus: EventBus, instance: object, options?: HandlerOptions): Promise<Registration> {
  return bus.register(instance, options)
}
