import type { Answer, Call, CommonCommand } from './process.ts'

/** Does as the parent says, command by command: the other end of `OtherProcess`. Ends the process when its parent is gone. */
export function serve<Command extends { readonly do: string }>(obey: (command: Command) => unknown): void {
  const orphaned = (): never => process.exit(0)
  const common = (command: CommonCommand): unknown => {
    if (command.do === 'resources') return process.getActiveResourcesInfo()
    if (command.do === 'disconnect') {
      process.off('disconnect', orphaned)
      setImmediate(() => process.disconnect())
      return undefined
    }
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  }
  const answer = async ({ call, command }: Call<Command>): Promise<void> => {
    try {
      const value: unknown = await (isCommon(command) ? common(command) : obey(command))
      await tell({ reply: call, value } satisfies Answer)
    } catch (thrown) {
      const error = thrown as Error
      const { name, message } = error
      await tell({ reply: call, error: { ...plain(error), name, message } } satisfies Answer)
    }
  }
  process.on('message', (call: Call<Command>) => void answer(call))
  process.on('disconnect', orphaned)
}

/** Resolves when the parent has it, so that a kill right afterwards cannot unsay it. */
export function tell(what: object): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve()
    process.send?.(what, undefined, {}, () => resolve())
  })
}

/** As `kill -9` does: nothing is flushed, nothing is released. */
export function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise<never>(() => undefined)
}

const common: ReadonlySet<string> = new Set<CommonCommand['do']>(['heap', 'resources', 'disconnect'])

function isCommon(command: { readonly do: string }): command is CommonCommand {
  return common.has(command.do)
}

/** An error's own fields that can be sent. */
function plain(error: Error): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(error).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)),
  )
}
