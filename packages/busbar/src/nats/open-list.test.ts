import { describe, expect, test } from 'vitest'
import { afterCrash, decodeOpen, encodeOpen } from './open-list.ts'

const plain = { attempts: 0, crashes: 0, suspect: false, started: false }

describe('the open list', () => {
  test('is short for what is in line and loses nothing', () => {
    const items = [
      { ...plain, seq: 100 },
      { seq: 101, attempts: 2, crashes: 1, suspect: true, started: false },
      { seq: 102, attempts: 1, crashes: 0, suspect: true, started: true },
      { ...plain, seq: 9, entry: 'l7', attempts: 3 },
    ]
    expect(encodeOpen(items)).toBe('100 101:2:1:s 102:1:0:x l7@9:3:0')
    expect(decodeOpen(encodeOpen(items))).toEqual(items)
    expect(decodeOpen('')).toEqual([])
  })

  test('after a crash all of it counts as begun, and a crash is counted only where it is known', () => {
    const [first, second] = afterCrash([
      { ...plain, seq: 1 },
      { ...plain, seq: 2 },
    ])
    expect([first?.attempts, first?.crashes, first?.suspect]).toEqual([1, 0, true])
    expect([second?.attempts, second?.crashes]).toEqual([1, 0])
    const [alone] = afterCrash([{ ...plain, seq: 1 }])
    expect([alone?.attempts, alone?.crashes]).toEqual([1, 1])
  })

  test('a suspect that was not started is not counted again, a started one is', () => {
    const suspect = { seq: 1, attempts: 1, crashes: 0, suspect: true }
    const [waiting, started] = afterCrash([
      { ...suspect, started: false },
      { ...suspect, seq: 2, started: true },
    ])
    expect([waiting?.attempts, waiting?.crashes]).toEqual([1, 0])
    expect([started?.attempts, started?.crashes]).toEqual([2, 1])
  })
})
