/** A TCP proxy between the processes and their server, which cuts and delays what goes through it. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export class Proxy {
  readonly port: number
  /** Connections that were cut. */
  cuts = 0
  /** Milliseconds by which each piece is late. Order within a connection is kept. */
  delay = 0
  /** Port of this machine that it stands before; nothing need listen there yet. */
  target = 0
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  #stalled: PromiseWithResolvers<void> | undefined

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async open(): Promise<Proxy> {
    const server = createServer({ noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    const proxy = new Proxy(server, typeof address === 'object' ? (address?.port ?? 0) : 0)
    server.on('connection', (client) => proxy.#take(client))
    return proxy
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** Cuts every connection, or those that are chosen, at once and with whatever is under way in them. */
  cut(chosen: (index: number) => boolean = () => true): void {
    for (const [index, pair] of [...this.#pairs].entries()) {
      if (!chosen(index)) continue
      this.cuts++
      this.#end(pair)
    }
  }

  /** Nothing passes, and nothing is cut, until `heal`. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers()
  }

  /** No delay, no stall. */
  heal(): void {
    this.delay = 0
    this.#stalled?.resolve()
    this.#stalled = undefined
  }

  async close(): Promise<void> {
    this.heal()
    for (const pair of this.#pairs) this.#end(pair)
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #take(client: Socket): void {
    const server = connect({ host: '127.0.0.1', port: this.target, noDelay: true })
    const pair = { client, server }
    this.#pairs.add(pair)
    void this.#pass(pair, client, server)
    void this.#pass(pair, server, client)
    for (const socket of [client, server]) {
      socket.on('error', () => this.#end(pair))
    }
  }

  async #pass(pair: Pair, from: Socket, to: Socket): Promise<void> {
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        if (this.delay > 0) await sleep(this.delay)
        while (this.#stalled !== undefined) await this.#stalled.promise
        if (!to.write(piece)) await drained(to)
      }
      to.end()
      if (to.readableEnded) this.#pairs.delete(pair)
    } catch {
      this.#end(pair)
    }
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair)
    pair.client.resetAndDestroy()
    pair.server.resetAndDestroy()
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
    if (socket.destroyed) done()
  })
}
