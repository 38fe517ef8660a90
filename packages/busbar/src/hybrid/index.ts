export { HybridBroker, type HybridBrokerOptions } from './broker.ts'
export {
  DefaultRoutingStrategy,
  PriorityRoutingStrategy,
  type Route,
  type Routed,
  type Routing,
  type RoutingStrategy,
} from './routing.ts'
