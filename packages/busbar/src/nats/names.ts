/**
 * Names of streams and subjects. A topic or group is one token of a subject: what NATS does not allow in a token (dots,
 * wildcards, spaces, anything that is not ASCII) is written `=` and two hex digits a byte, so every name can be read back.
 */
export function token(name: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(name)) return name
  if (name === '') return '='
  return name.replace(/[^A-Za-z0-9_-]/gu, (char) =>
    [...Buffer.from(char, 'utf8')].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

/** The name that `token` was given. */
export function fromToken(text: string): string {
  if (text === '=') return ''
  return text.replace(/(?:=[0-9A-F]{2})+/g, (run) => Buffer.from(run.replaceAll('=', ''), 'hex').toString('utf8'))
}

/** Streams and subjects of one deployment, all under its prefix. */
export class Names {
  readonly prefix: string
  /** Leases, members and cursors of groups. */
  readonly state: string
  /** Messages to be handed out again. */
  readonly aside: string
  readonly dead: string

  constructor(prefix: string) {
    this.prefix = prefix
    this.state = `${prefix}_state`
    this.aside = `${prefix}_aside`
    this.dead = `${prefix}_dead`
  }

  topicStream(topic: string): string {
    return `${this.prefix}_t_${token(topic)}`
  }

  /** Undefined: no stream of a topic of this deployment. */
  topicOf(stream: string): string | undefined {
    const start = `${this.prefix}_t_`
    return stream.startsWith(start) ? fromToken(stream.slice(start.length)) : undefined
  }

  log(topic: string, partition: number | '*'): string {
    return `${this.prefix}.t.${token(topic)}.${partition}`
  }

  /** Where a message waits for its time; the server moves it to the log. */
  delayed(topic: string, partition: number | '*', id: string): string {
    return `${this.prefix}.later.${token(topic)}.${partition}.${id}`
  }

  member(group: string, id: string): string {
    return `${this.prefix}.state.${token(group)}.watch.member.${id}`
  }

  lease(group: string, topic: string, partition: number): string {
    return `${this.prefix}.state.${token(group)}.watch.lease.${token(topic)}.${partition}`
  }

  /** Members and leases of a group: what its members keep an eye on. */
  watched(group: string): string {
    return `${this.prefix}.state.${token(group)}.watch.>`
  }

  cursor(group: string, topic: string, partition: number | '*'): string {
    return `${this.prefix}.state.${token(group)}.cursor.${token(topic)}.${partition}`
  }

  get allCursors(): string {
    return `${this.prefix}.state.*.cursor.*.*`
  }

  stateOf(group: string): string {
    return `${this.prefix}.state.${token(group)}.>`
  }

  get ping(): string {
    return `${this.prefix}.state.ping`
  }

  asideEntry(group: string, topic: string, partition: number | '*', entry: string): string {
    return `${this.prefix}.aside.${token(group)}.${token(topic)}.${partition}.${entry}`
  }

  asidesOf(group: string): string {
    return `${this.prefix}.aside.${token(group)}.>`
  }

  letter(group: string, topic: string, id: string): string {
    return `${this.prefix}.dead.${token(group)}.${token(topic)}.${token(id)}`
  }

  /** The letter of a message that is parked: another of the same id does not replace it. */
  parked(group: string, topic: string, partition: number, entry: string): string {
    return `${this.prefix}.dead.${token(group)}.${token(topic)}.parked.${partition}-${entry}`
  }

  parkedOf(group: string): string {
    return `${this.prefix}.dead.${token(group)}.*.parked.*`
  }

  letters(group: string | undefined, topic: string | undefined): string {
    return `${this.prefix}.dead.${group === undefined ? '*' : token(group)}.${topic === undefined ? '*' : token(topic)}.>`
  }

  /** The tokens of a subject behind the prefix and its kind: `<prefix>.aside.a.b` gives `['a', 'b']`. */
  tokens(subject: string): string[] {
    return subject
      .slice(this.prefix.length + 1)
      .split('.')
      .slice(1)
  }
}
