/** What a storage can do. Each field is checked by the conformance suite, both ways. */
export interface StorageCapabilities {
  /** Bodies never leave the process. */
  readonly inProcess: boolean
  /** What was appended survives kill -9 of every process of ours. */
  readonly durable: boolean
  /** Several processes can share it. */
  readonly multiProcess: boolean
  /** `append` takes `tx` and `inline`; without, both are refused with `UnsupportedError`. */
  readonly transactions: boolean
  /** Largest encoded body in bytes; a larger one is refused before anything is written. */
  readonly maxEventBytes: number
}
