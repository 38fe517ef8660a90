import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'packages/**/src/**/*.test.ts',
      'packages/*/test/**/*.test.ts',
      'script/**/*.test.ts',
      'examples/**/*.test.ts',
      'bench/**/*.test.ts',
      'chaos/**/*.test.ts',
    ],
    // `*.servers.test.ts` needs real servers: npm run test:servers.
    exclude: ['**/node_modules/**', '**/dist/**', '**/.tmp/**', '**/*.servers.test.ts'],
    // Each file in a process of its own: tests start and kill processes, and a leak must not reach the next file.
    pool: 'forks',
    // Tests that start several processes would starve each other on a small machine.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
})
