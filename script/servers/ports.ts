/** Private ports on loopback. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

/**
 * A port that nothing listens on, from below the range that the system hands out by itself: so no outgoing connection
 * takes it while its server is down, and a server that is killed comes back under the same URL.
 */
export async function freePort(taken: readonly number[] = []): Promise<number> {
  const lowest = 20_000
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (firstEphemeralPort() - lowest))
    if (!taken.includes(port) && (await isFree(port))) return port
  }
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

function firstEphemeralPort(): number {
  try {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0])
    return Math.max(first, 24_000)
  } catch {
    return 32_768
  }
}
