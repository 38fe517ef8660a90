import { defineConfig } from 'vitest/config'

/** `npm run test:servers`: what needs the real servers, and the network where they are not installed yet. */
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['{script,examples,chaos}/**/*.servers.test.ts', 'packages/*/src/**/*.servers.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
  },
})
