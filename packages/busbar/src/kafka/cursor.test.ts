import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { afterCrash, decode, encode, type OpenItem, type Place } from './cursor.ts'

const plain = { aside: false, attempts: 0, crashes: 0, suspect: false, started: false }
const at = (offset: number, more: Partial<OpenItem> = {}): OpenItem => ({ ...plain, offset, ...more })

describe('what a group commits of a partition', () => {
  test('is read as it was written', () => {
    const item = fc.record({
      gap: fc.integer({ min: 1, max: 50 }),
      attempts: fc.nat(9),
      crashes: fc.nat(3),
      mark: fc.constantFrom('', 's', 'x'),
    })
    fc.assert(
      fc.property(
        fc.nat(1e12),
        fc.array(item, { maxLength: 40 }),
        fc.array(fc.nat(1e9)),
        fc.boolean(),
        (offset, gaps, asides, clean) => {
          let last = offset - 1
          const log = gaps.map(({ gap, attempts, crashes, mark }, n) => {
            last += n === 0 ? 1 : gap
            return at(last, { attempts, crashes, suspect: mark !== '', started: mark === 'x' })
          })
          const open = [...log, ...asides.map((each) => at(each, { aside: true }))]
          const place: Place = { offset, clean, handed: last + 1, grant: last + 11, open }
          expect(decode(offset, encode(place, 1e6))).toEqual(place)
        },
      ),
    )
  })

  test('takes little room: what is open in a row is one range', () => {
    const open = Array.from({ length: 1_000 }, (_, n) => at(5 + n))
    const text = encode({ offset: 5, clean: false, handed: 1_005, grant: 2_005, open }, 4_096)
    expect(text.length).toBeLessThan(30)
    expect(decode(5, text)?.open).toEqual(open)
  })

  test('never is longer than the server takes, and what has no room may have been handed out', () => {
    const open = Array.from({ length: 500 }, (_, n) => at(10 + 3 * n, { attempts: 2 }))
    const place: Place = { offset: 10, clean: false, handed: 2_000, grant: 2_100, open }
    const text = encode(place, 256)
    expect(text.length).toBeLessThanOrEqual(256)
    const read = decode(10, text)
    const kept = read?.open.length ?? 0
    expect(kept).toBeGreaterThan(10)
    expect(read).toMatchObject({ open: open.slice(0, kept), handed: open[kept]?.offset, grant: 2_100 })
  })

  test('of somebody else says nothing about what is open', () => {
    for (const metadata of ['', 'something else', '{}', 'b2 o 1 2']) expect(decode(7, metadata)).toBeUndefined()
  })
})

describe('after a crash', () => {
  const place = (open: readonly OpenItem[], handed: number, grant: number): Place => ({
    offset: open[0]?.offset ?? handed,
    clean: false,
    handed,
    grant,
    open,
  })

  test('what was open comes again as begun, and no crash is counted that nobody saw', () => {
    expect(afterCrash(place([at(3)], 5, 5), 100)).toEqual([at(3, { attempts: 1, suspect: true })])
  })

  test('what was granted may have been handed out, as far as the log goes', () => {
    expect(afterCrash(place([], 5, 9), 7)).toEqual([
      at(5, { attempts: 1, suspect: true }),
      at(6, { attempts: 1, suspect: true }),
    ])
  })

  test('a suspect that was started alone has crashed; one that was not is as it was', () => {
    const open = [at(1, { attempts: 1, suspect: true, started: true }), at(2, { attempts: 1, suspect: true })]
    expect(afterCrash(place(open, 3, 3), 3)).toEqual([
      at(1, { attempts: 2, crashes: 1, suspect: true }),
      at(2, { attempts: 1, suspect: true }),
    ])
  })
})
