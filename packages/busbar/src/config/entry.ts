import type { Fields } from './fields.ts'

/**
 * What configuration knows of one kind of broker or event storage: its URL, its settings and how to load it.
 *
 * An entry imports no adapter but by `load`, and its types name no client's package: whoever uses one broker needs
 * nothing of the others, neither to run nor to compile.
 */
export interface Entry<Loaded> {
  /** First parts of its URLs, lower case. */
  readonly schemes: readonly string[]
  /** A whole URL for errors to show. */
  readonly example: string
  /** What it takes, under its own name in a configuration and as parameters of a URL. */
  readonly fields: Fields
  /** Parameters of a URL that its client reads: they stay in the URL and are not looked up in `fields`. */
  readonly clientParameters?: readonly string[]
  /** The settings that a URL stands for; its own parameters have been taken off. @throws ConfigurationError */
  ofUrl(url: EntryUrl): Record<string, unknown>
  /** A last look at all settings together. @throws ConfigurationError */
  complete?(settings: Record<string, unknown>, given: Readonly<Record<string, unknown>>): Record<string, unknown>
  /** The adapter is loaded only now. @throws ConfigurationError where the package of its client is missing */
  load(settings: Record<string, unknown>): Promise<Loaded>
}

export interface EntryUrl {
  /** Lower case, without the colon. */
  readonly scheme: string
  /** What stands between the scheme's colon and the question mark. */
  readonly path: string
  /** The whole URL without Busbar's own parameters: what the client gets. */
  readonly href: string
}
