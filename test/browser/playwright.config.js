import { defineConfig } from '@playwright/test';

// One browser, Debian's, and one stand: see stand/main.go.
export default defineConfig({
  testDir: '.',
  workers: 1,
  timeout: 60_000,
  reporter: [['list']],
  outputDir: process.env.SLUICE_BROWSER_OUT ?? '/tmp/sluice-browser',
  use: {
    baseURL: 'http://127.0.0.1:18099/',
    launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
    viewport: { width: 1280, height: 900 },
  },
  webServer: {
    command: process.env.SLUICE_STAND + ' -listen 127.0.0.1:18099 -hours ' + (process.env.SLUICE_STAND_HOURS ?? '2') +
      ' -day ' + (process.env.SLUICE_STAND_DAY ?? '31'),
    url: 'http://127.0.0.1:18099/signin',
    timeout: 120_000,
    stdout: 'ignore',
  },
});
