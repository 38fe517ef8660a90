import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createEventBus } from '../factory.ts'
import { definitionOf, event } from '../message/contract.ts'
import { JsonCodec } from '../message/json-codec.ts'
import { open } from '../message/inbound.ts'
import { prepare } from '../message/outbound.ts'
import type { EncodedMessage, Message } from '../message/message.ts'
import { type Database, sqliteDatabase } from '../transaction/database.ts'
import { type KeyStore, MemoryKeyStore, PersonalData, PersonForgottenError, SqlKeyStore } from './index.ts'

const codec = new JsonCodec()
const guest = z.object({ name: z.string(), age: z.number().optional() })
const Booked = event(
  'Booked',
  z.object({ room: z.string(), email: z.email(), born: z.date().optional(), guests: z.array(guest).default([]) }),
  { personal: { email: 'erased@example.invalid', born: undefined, 'guests.name': '?' }, subject: () => 'guest-1' },
)
const booking = { room: '12', email: 'ada@example.com', guests: [{ name: 'Grace', age: 3 }, { name: 'Edsger' }] }

function wire(message: Message, privacy: PersonalData): Promise<EncodedMessage> | EncodedMessage {
  return prepare(message, definitionOf(Booked), { codec, inProcess: false, maxBytes: 1e6, privacy })
}

async function read(encoded: EncodedMessage, privacy?: PersonalData): Promise<unknown> {
  return (await open(encoded, definitionOf(Booked), codec, privacy)).data
}

describe('what a contract marks as personal', () => {
  test('is unreadable on the wire and readable for who has the key; the rest is as it was', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const encoded = await wire(Booked.create(booking), privacy)
    const body = encoded.body as string
    for (const secret of ['ada@example.com', 'Grace', 'Edsger']) expect(body).not.toContain(secret)
    expect(JSON.parse(body)).toMatchObject({ room: '12', guests: [{ age: 3 }, {}] })
    expect(await read(encoded, privacy)).toEqual(booking)
  })

  test('of a Date comes back as a Date where the schema says so', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const born = new Date('1815-12-10T00:00:00Z')
    expect(await read(await wire(Booked.create({ ...booking, born }), privacy), privacy)).toMatchObject({ born })
  })

  test('is not sent where nobody says whose it is', async () => {
    const Anonymous = event('Anonymous', z.object({ email: z.string() }), { personal: ['email'] })
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const bus = await createEventBus('memory:', { privacy })
    await expect(bus.publish(Anonymous.create({ email: 'a@b.c' }))).rejects.toThrow(/says of nobody.*person/)
    await bus.stop()
  })

  test('belongs to whom the contract says, else to the subject', async () => {
    const Sent = event('Sent', z.object({ to: z.string(), mail: z.string() }), {
      personal: ['mail'],
      person: ({ to }) => to,
      subject: () => 'parcel-1',
    })
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const encoded = await prepare(Sent.create({ to: 'ada', mail: 'x' }), definitionOf(Sent), {
      codec,
      inProcess: false,
      maxBytes: 1e6,
      privacy,
    })
    expect(await privacy.forget('parcel-1')).toBe(false)
    expect(await privacy.forget('ada')).toBe(true)
    expect((await open(encoded, definitionOf(Sent), codec, privacy)).data).toEqual({ to: 'ada', mail: '[erased]' })
  })
})

describe('forgetting', () => {
  test('makes it unreadable, and history is still read, with what the contract declares in its place', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const encoded = await wire(Booked.create(booking), privacy)
    expect(await privacy.forget('guest-1')).toBe(true)
    expect(await privacy.forget('guest-1')).toBe(false)
    expect(await read(encoded, privacy)).toEqual({
      room: '12',
      email: 'erased@example.invalid',
      guests: [{ name: '?', age: 3 }, { name: '?' }],
    })
  })

  test('where nothing is declared the schema may refuse what stands there: the data is given all the same', async () => {
    const Mailed = event('Mailed', z.object({ n: z.number(), email: z.email() }), { personal: ['email'] })
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const message = Mailed.create({ n: 1, email: 'a@b.example' }, undefined, { subject: 'p' })
    const options = { codec, inProcess: false, maxBytes: 1e6, privacy }
    const encoded = await prepare(message, definitionOf(Mailed), options)
    await privacy.forget('p')
    expect((await open(encoded, definitionOf(Mailed), codec, privacy)).data).toEqual({ n: 1, email: '[erased]' })
    const broken = { ...encoded, body: (encoded.body as string).replace('"n":1', '"n":"one"') }
    await expect((async () => open(broken, definitionOf(Mailed), codec, privacy))()).rejects.toThrow(/n: /)
  })

  test('holds: nothing personal is written of somebody who was forgotten, until they are readmitted', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const before = await wire(Booked.create(booking), privacy)
    await privacy.forget('guest-1')
    await expect((async () => wire(Booked.create(booking), privacy))()).rejects.toThrow(PersonForgottenError)
    await privacy.readmit('guest-1')
    const after = await wire(Booked.create(booking), privacy)
    expect(await read(after, privacy)).toEqual(booking)
    // What was encrypted with the old key does not come back as the old data.
    await expect(read(before, privacy)).rejects.toThrow(/cannot be opened/)
  })
})

describe('what was encrypted', () => {
  test('cannot be changed, nor moved to another person', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const encoded = await wire(Booked.create(booking), privacy)
    const body = JSON.parse(encoded.body as string) as { email: { $personal: string } }
    const [person, sealed] = body.email.$personal.split('.') as [string, string]
    const flipped = `${sealed.slice(0, -2)}${sealed.endsWith('AA') ? 'BB' : 'AA'}`
    const changed = { ...encoded, body: JSON.stringify({ ...body, email: { $personal: `${person}.${flipped}` } }) }
    await expect(read(changed, privacy)).rejects.toThrow(/changed, or written with another key/)
    const broken = { ...encoded, body: JSON.stringify({ ...body, email: { $personal: 'no mark' } }) }
    await expect(read(broken, privacy)).rejects.toThrow(/holds nothing that was encrypted/)
  })

  test('is refused by a reader who has no keys at all, by its schema', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    await expect(read(await wire(Booked.create(booking), privacy))).rejects.toThrow(/email: is not valid/)
  })
})

describe('on a bus', () => {
  const closing: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })

  test('handlers get it, dead letters do not show it, an edit does, and the log never had it', async () => {
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const bus = await createEventBus('memory:', { privacy, retry: { retries: 0, redeliveries: [] } })
    closing.push(() => bus.stop())
    const seen: unknown[] = []
    let fails = true
    await bus.subscribe(
      Booked,
      ({ data }) => {
        seen.push(data)
        if (fails) throw new Error('not now')
      },
      { group: 'desk' },
    )
    await bus.publish(Booked.create(booking))
    await bus.idle()
    expect(seen).toEqual([booking])
    const [letter] = await bus.deadLetters.list()
    expect(letter?.message?.data).toEqual({
      ...booking,
      email: '[personal]',
      guests: [{ name: '[personal]', age: 3 }, { name: '[personal]' }],
    })
    expect(JSON.stringify(letter)).not.toContain('ada@example.com')
    fails = false
    const edit = ({ data }: Message): unknown => ({ ...(data as typeof booking), room: '14' })
    await bus.deadLetters.redrive({ group: 'desk' }, { edit })
    await bus.idle()
    expect(seen[1]).toEqual({ ...booking, room: '14' })
  })

  test('without privacy dead letters are masked, too', async () => {
    const bus = await createEventBus('memory:', { retry: { retries: 0, redeliveries: [] } })
    closing.push(() => bus.stop())
    await bus.subscribe(Booked, () => Promise.reject(new Error('no')), { group: 'desk' })
    await bus.publish(Booked.create(booking))
    await bus.idle()
    const [letter] = await bus.deadLetters.list()
    expect(letter?.message?.data).toMatchObject({ room: '12', email: '[personal]' })
  })

  test('keys that cannot be reached are no fault of the message: it is tried again, and handled once they are back', async () => {
    const kept = new MemoryKeyStore()
    let away = false
    const keys: KeyStore = {
      find: (person) => (away ? Promise.reject(new Error('connection refused')) : kept.find(person)),
      obtain: (person) => kept.obtain(person),
      forget: (person) => kept.forget(person),
      readmit: (person) => kept.readmit(person),
    }
    const privacy = new PersonalData({ keys, cacheFor: 0 })
    const retry = { retries: 2, minDelay: 1, maxDelay: 2, redeliveries: [5, 5, 5, 5, 5, 5, 5, 5] }
    const bus = await createEventBus('memory:', { privacy, retry })
    closing.push(() => bus.stop())
    const seen: unknown[] = []
    const subscription = await bus.subscribe(Booked, ({ data }) => void seen.push(data), { group: 'desk' })
    away = true
    await bus.publish(Booked.create(booking))
    while (subscription.stats().retried < 3) await new Promise((resolve) => setTimeout(resolve, 2))
    away = false
    await bus.idle()
    expect(seen).toEqual([booking])
    expect(await bus.deadLetters.count()).toBe(0)
  })

  test('what waits for a key is not passed by what was published after it', async () => {
    const Plain = event('Plain', z.object({ n: z.number() }), { subject: () => 'guest-1' })
    const privacy = new PersonalData({ keys: new MemoryKeyStore() })
    const bus = await createEventBus('memory:', { privacy })
    closing.push(() => bus.stop())
    const seen: string[] = []
    await bus.subscribe('*', ({ type }) => void seen.push(type), { group: 'all' })
    await Promise.all([
      bus.publish(Booked.create(booking)),
      bus.publish(Plain.create({ n: 1 })),
      bus.publish([Plain.create({ n: 2 })]),
    ])
    await bus.idle()
    expect(seen).toEqual(['Booked', 'Plain', 'Plain'])
  })
})

describe('keys in SQL', () => {
  const masterKey = Buffer.alloc(32, 7).toString('base64')

  const database = (db: DatabaseSync): Database => sqliteDatabase(db)

  test('are the same for all who ask, and the table alone reads nothing', async () => {
    const db = new DatabaseSync(':memory:')
    const shared = database(db)
    const [one, other] = [0, 1].map(() => new SqlKeyStore({ database: shared, masterKey })) as [
      SqlKeyStore,
      SqlKeyStore,
    ]
    const [a, b] = await Promise.all([one.obtain('ada'), other.obtain('ada')])
    expect(Buffer.from(a)).toEqual(Buffer.from(b))
    expect(Buffer.from((await other.find('ada')) ?? [])).toEqual(Buffer.from(a))
    expect(JSON.stringify(db.prepare('SELECT * FROM busbar_keys').all())).not.toContain(
      Buffer.from(a).toString('base64'),
    )
    const wrong = new SqlKeyStore({ database: database(db), masterKey: Buffer.alloc(32, 8) })
    await expect(wrong.find('ada')).rejects.toThrow(/another key/)
  })

  test('that were forgotten are gone for everybody, also for who was never known', async () => {
    const db = new DatabaseSync(':memory:')
    const keys = new SqlKeyStore({ database: database(db), masterKey })
    await keys.obtain('ada')
    expect(await keys.forget('ada')).toBe(true)
    expect(await keys.forget('ada')).toBe(false)
    expect(await keys.forget('nobody')).toBe(false)
    expect(await keys.find('ada')).toBeUndefined()
    await expect(keys.obtain('ada')).rejects.toThrow(PersonForgottenError)
    await expect(keys.obtain('nobody')).rejects.toThrow(/readmit/)
    await keys.readmit('ada')
    expect(await keys.obtain('ada')).toHaveLength(32)
  })

  test('want a master key of 32 bytes, and say how to make one', () => {
    const db = database(new DatabaseSync(':memory:'))
    expect(() => new SqlKeyStore({ database: db, masterKey: 'short' })).toThrow(/32 bytes.*openssl rand/)
    expect(() => new SqlKeyStore({ database: db })).toThrow(/none was given/)
  })
})
