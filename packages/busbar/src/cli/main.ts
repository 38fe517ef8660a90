#!/usr/bin/env node
/** The command `busbar`. */
import { schemas } from './schemas.ts'

const usage = `Usage: busbar <command> [options]

  schemas check      what changes of contracts would break (busbar schemas --help)
  schemas register   the same, and registers them where nothing breaks`

const [command, ...rest] = process.argv.slice(2)
if (command === 'schemas') process.exitCode = await schemas(rest, { out: console.log, err: console.error })
else {
  console.error(command === undefined || command === '--help' ? usage : `There is no command '${command}'.\n\n${usage}`)
  process.exitCode = command === '--help' ? 0 : 2
}
