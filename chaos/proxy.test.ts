import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Proxy } from './proxy.ts'

let server: Server
let proxy: Proxy
const served: Socket[] = []

beforeEach(async () => {
  // Gives back what it gets.
  server = createServer((socket) => {
    served.push(socket)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy = await Proxy.open()
  proxy.target = (server.address() as { port: number }).port
})

afterEach(async () => {
  for (const socket of served.splice(0)) socket.destroy()
  await proxy.close()
  server.close()
})

async function client(): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Unlike `once`, whatever error it ends with. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

async function received(socket: Socket, length: number): Promise<string> {
  let text = ''
  while (text.length < length) text += String((await once(socket, 'data'))[0])
  return text
}

test('what is sent arrives in order, also while it is delayed', async () => {
  const socket = await client()
  proxy.delay = 20
  const sent = Array.from({ length: 50 }, (_, n) => `${n},`)
  for (const piece of sent) socket.write(piece)
  expect(await received(socket, sent.join('').length)).toBe(sent.join(''))
})

test('nothing passes while it is stalled, and everything afterwards', async () => {
  const socket = await client()
  socket.write('one')
  expect(await received(socket, 3)).toBe('one')
  proxy.stall()
  let early = ''
  const listen = (chunk: Buffer): void => void (early += String(chunk))
  socket.on('data', listen)
  socket.write('two')
  // A way beside the proxy shows that the server has had time to answer.
  const beside = connect(proxy.target, '127.0.0.1')
  beside.write('three')
  await received(beside, 5)
  beside.destroy()
  expect(early).toBe('')
  socket.off('data', listen)
  const late = received(socket, 3)
  proxy.heal()
  expect(await late).toBe('two')
})

test('a cut ends the connections that are there, on both sides, and new ones can be made', async () => {
  const [first, second] = [await client(), await client()]
  for (const socket of [first, second]) {
    socket.write('x')
    await received(socket, 1)
  }
  const ended = [first, second, ...served].map(closed)
  proxy.cut()
  await Promise.all(ended)
  expect(proxy).toMatchObject({ cuts: 2, connections: 0 })
  const third = await client()
  third.write('y')
  expect(await received(third, 1)).toBe('y')
})

test('a cut can choose', async () => {
  const [first, second] = [await client(), await client()]
  for (const socket of [first, second]) {
    socket.write('x')
    await received(socket, 1)
  }
  const ended = closed(first)
  proxy.cut((index) => index === 0)
  await ended
  second.write('z')
  expect(await received(second, 1)).toBe('z')
  expect(proxy.connections).toBe(1)
})

test('while nobody listens behind it connections end, and they come through when somebody does', async () => {
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  const away = connect(proxy.port, '127.0.0.1')
  away.on('error', () => undefined)
  await closed(away)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const socket = await client()
  socket.write('again')
  expect(await received(socket, 5)).toBe('again')
})

test('one side that ends is told to the other', async () => {
  const socket = await client()
  socket.write('x')
  await received(socket, 1)
  socket.end()
  await closed(socket)
  expect(served[0]?.readableEnded).toBe(true)
})
