import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Short in a pipe, where only what fails is read; failures are printed in full either way.
    reporters: [process.stdout.isTTY ? 'default' : 'dot'],
  },
});
