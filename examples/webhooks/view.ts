/** The live view: a block that is drawn anew in place on a terminal, plain lines anywhere else. */
import { clearScreenDown, moveCursor } from 'node:readline'
import { stripVTControlCharacters, styleText } from 'node:util'

import { clock, count, megabytes, milliseconds, perSecond } from './format.ts'
import { WINDOW } from './latencies.ts'
import type { Snapshot } from './snapshot.ts'

export interface View {
  /** Milliseconds between two snapshots. */
  readonly interval: number
  show(snapshot: Snapshot): void
  /** Says something that stays. */
  say(text: string): void
}

export function viewOf(stream: NodeJS.WriteStream, title: string): View {
  return stream.isTTY ? new TerminalView(stream, title) : new PlainView(stream, title)
}

class TerminalView implements View {
  readonly interval = 250
  private readonly stream: NodeJS.WriteStream
  private readonly title: string
  private drawn = 0

  constructor(stream: NodeJS.WriteStream, title: string) {
    this.stream = stream
    this.title = title
  }

  show(snapshot: Snapshot): void {
    this.erase()
    const lines = block(this.title, snapshot, this.stream.columns)
    this.stream.write(`${lines.join('\n')}\n`)
    this.drawn = lines.length
  }

  say(text: string): void {
    this.erase()
    this.stream.write(`${text}\n`)
  }

  private erase(): void {
    if (this.drawn > 0) moveCursor(this.stream, -this.stream.columns, -this.drawn)
    clearScreenDown(this.stream)
    this.drawn = 0
  }
}

class PlainView implements View {
  readonly interval = 2_000
  private readonly stream: NodeJS.WritableStream

  constructor(stream: NodeJS.WritableStream, title: string) {
    this.stream = stream
    this.say(title)
  }

  show(snapshot: Snapshot): void {
    this.say(line(snapshot))
  }

  say(text: string): void {
    this.stream.write(`${text}\n`)
  }
}

const COLUMNS = ['handled', 'rate', 'lag', 'retried', 'redelivered', 'dead'] as const

/** The view of a terminal, line by line. */
export function block(title: string, snapshot: Snapshot, columns: number): string[] {
  const { groups, latency, mirrorWorks, latest, uptime, fileSize } = snapshot
  const cell = (text: string): string => text.padStart(12)
  const numbers = groups.map((each) => {
    const dead = cell(count(each.dead))
    return [
      each.group.padEnd(10),
      cell(count(each.handled)),
      cell(perSecond(each.rate)),
      cell(count(each.lag)),
      cell(count(each.retried)),
      cell(count(each.redelivered)),
      each.dead > 0 ? styleText('red', dead) : dead,
    ].join('')
  })
  const size = fileSize === undefined ? '' : `   file ${megabytes(fileSize)}`
  const lines = [
    `${styleText('bold', title)}  ${clock(uptime)}`,
    '',
    `published ${count(snapshot.published)}  ${perSecond(snapshot.publishRate)}${size}`,
    styleText('dim', 'group'.padEnd(10) + COLUMNS.map(cell).join('')),
    ...numbers,
    '',
    `latency   p50 ${milliseconds(latency.p50)}  p99 ${milliseconds(latency.p99)}  (last ${WINDOW} s)`,
    `mirror    ${mirrorWorks ? styleText('green', 'works') : styleText('red', 'refuses wiki pages until it is repaired')}`,
    ...latest.map((text) => styleText('dim', fitted(`          ${text}`, columns))),
    '',
    styleText('dim', snapshot.stopping ? 'stopped' : 'Ctrl-C drains and stops'),
  ]
  return lines.map((each) => fitted(each, columns))
}

/** The same as one plain line. */
export function line(snapshot: Snapshot): string {
  const { groups, latency } = snapshot
  const ofGroup = groups.map(
    (each) =>
      `${each.group} ${each.handled} (${perSecond(each.rate)}) lag ${each.lag} retried ${each.retried} ` +
      `redelivered ${each.redelivered} dead ${each.dead}`,
  )
  return [
    `${clock(snapshot.uptime)} published ${snapshot.published} (${perSecond(snapshot.publishRate)})`,
    ...ofGroup,
    `latency p50 ${milliseconds(latency.p50)} p99 ${milliseconds(latency.p99)}`,
    `mirror ${snapshot.mirrorWorks ? 'works' : 'refuses wiki pages'}`,
  ].join(' | ')
}

/** A line that wraps would be two, and the next drawing would begin too low. */
function fitted(text: string, columns: number): string {
  const plain = stripVTControlCharacters(text)
  return plain.length < columns ? text : `${plain.slice(0, columns - 2)}…`
}
