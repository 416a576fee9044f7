// Goes through the page as people do: every view, with its filter and links, in the dark, by
// keyboard, without scripts, behind a prefix, and as a tenant that tries to see another.
import { test as base, expect } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const token = 'the admin token';
const views = ['overview', 'spend', 'budgets', 'changed', 'cascade', 'levers', 'capacity', 'escalation', 'caps', 'cache', 'top',
  'unit', 'requests', 'request', 'statements', 'trust', 'tenant', 'keys', 'health'];

// A test fails when a page says anything on the console or throws, or a request fails.
const test = base.extend({
  page: async ({ page }, use) => {
    const said = [];
    page.on('console', (m) => said.push(m.text()));
    page.on('pageerror', (e) => said.push(String(e)));
    page.on('requestfailed', (r) => said.push(`${r.url()} failed`));
    await use(page);
    expect(said.filter((s) => !/status of 40[13]/.test(s))).toEqual([]);
  },
});

async function signIn(page, credential = token, prefix = '') {
  await page.goto(prefix + 'signin');
  await page.getByLabel(/Admin token/).fill(credential);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
}

async function faults(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' ')}`);
}

for (const scheme of ['light', 'dark']) {
  test(`every view, ${scheme}`, async ({ page, context }) => {
    test.setTimeout(240_000);
    await page.emulateMedia({ colorScheme: scheme });
    expect(await faults(await signInPage(page))).toEqual([]);
    await signIn(page);
    for (const view of views) {
      await page.goto(view);
      await expect(page.locator('h1')).not.toBeEmpty();
      await expect(page.locator('.source')).toContainText('as of');
      await expect(page.locator('section').first()).toBeVisible();
      expect(await faults(page), view).toEqual([]);
      for (const link of await page.getByRole('link', { name: 'JSON', exact: true }).all()) {
        const answer = await context.request.get(new URL(await link.getAttribute('href'), page.url()).href);
        expect(answer.status(), await link.getAttribute('href')).toBe(200);
      }
      if (process.env.SLUICE_SHOTS && ['overview', 'spend', 'budgets', 'changed', 'escalation', 'top'].includes(view)) {
        await page.screenshot({ path: `${process.env.SLUICE_SHOTS}/${view}-${scheme}.png` });
      }
    }
  });
}

async function signInPage(page) {
  await page.goto('signin');
  return page;
}

test('what a page shows is what the API says', async ({ page, context }) => {
  test.setTimeout(240_000);
  await signIn(page);
  for (const view of views) {
    await page.goto(view);
    for (const section of await page.locator('section').all()) {
      const link = section.getByRole('link', { name: 'JSON', exact: true });
      const answer = await context.request.get(new URL(await link.getAttribute('href'), page.url()).href);
      const [table] = (await answer.json()).tables;
      const shown = await section.locator('tbody tr').evaluateAll((rows) => rows.map((row) =>
        [...row.cells].map((cell) => cell.querySelector('data')?.value ?? cell.textContent)));
      expect(shown.length, view).toBe(table.rows.length);
      const wanted = table.rows.map((row) => table.columns.map(({ name, kind }) => {
        const want = row[name];
        if (want === null) return '–';
        if (kind === 'count') return Number(want).toLocaleString('en-US');
        return kind === 'percent' ? `${want} %` : String(want);
      }));
      expect(shown, `${view}/${table.name}`).toEqual(wanted); // at once: an expectation for each cell takes minutes
    }
  }
});

test('filter, drill-down and links to share', async ({ page }) => {
  await signIn(page);
  await page.goto('spend');
  await page.getByLabel('from', { exact: true }).fill('2026-10-05');
  await page.locator('select[name=by]').selectOption('root');
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(/from=2026-10-05/);
  await expect(page.getByRole('rowheader', { name: 'acme', exact: true })).toBeVisible();
  await page.getByRole('link', { name: 'acme', exact: true }).click();
  await expect(page).toHaveURL(/tenant\?.*tenant=acme/);
  await expect(page.getByLabel('tenant and below')).toHaveValue('acme');
  await page.getByRole('navigation').getByRole('link', { name: 'Unit cost' }).click();
  await expect(page).toHaveURL(/unit\?.*tenant=acme/);
});

test('keyboard alone', async ({ page }) => {
  await signIn(page);
  await page.goto('spend');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the numbers' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('main')).toBeFocused();
  const head = page.getByRole('columnheader', { name: 'requests', exact: true }).getByRole('button');
  await head.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('columnheader', { name: 'requests', exact: true })).toHaveAttribute('aria-sort', 'descending');
  const cells = await page.locator('section').nth(1).locator('tbody tr td:nth-child(2)').allTextContents();
  const numbers = cells.map((c) => Number(c.replaceAll(',', '')));
  expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
});

test('behind a prefix', async ({ page }) => {
  await signIn(page, token, 'some/prefix/');
  for (const view of views) {
    await page.getByRole('navigation').getByRole('link').nth(views.indexOf(view)).click();
    await expect(page).toHaveURL(new RegExp(`/some/prefix/${view}`));
  }
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/some\/prefix\/signin$/);
});

test('a tenant sees its own', async ({ page, context }) => {
  const log = await context.request.get('keys-of-the-stand').catch(() => null);
  expect(log).not.toBeNull();
  const { key } = await log.json();
  await signIn(page, key);
  await page.goto('spend');
  await expect(page.getByRole('rowheader', { name: 'acme/support' })).toBeVisible();
  await expect(page.getByText('globex')).toHaveCount(0);
  for (const view of views) {
    expect((await page.goto(`${view}?tenant=globex/search`)).status(), view).toBe(403);
    await expect(page.getByRole('alert')).toContainText('outside of what you may see');
    expect((await context.request.get(`api/v1/views/${view}?tenant=globex/search`)).status()).toBe(403);
  }
  expect((await page.goto('health')).status()).toBe(403);
  await page.goto('keys');
  await expect(page.getByRole('button', { name: 'Issue', exact: true })).toHaveCount(0);
});

base.describe('without scripts', () => {
  base.use({ javaScriptEnabled: false });
  base('views and keys', async ({ page }) => {
    await signIn(page);
    for (const view of views) {
      await page.goto(view);
      await expect(page.locator('section').first()).toBeVisible();
    }
    await page.goto('keys');
    await page.getByLabel('tenant', { exact: true }).fill('acme/web');
    await page.getByLabel('owner').fill('ann');
    await page.getByRole('button', { name: 'Issue', exact: true }).click();
    await expect(page.getByText('slk_')).toBeVisible();
    const id = (await page.locator('code').first().textContent()).trim();
    await page.getByRole('link', { name: 'Back to the keys' }).click();
    await page.getByLabel('key id').fill(id);
    await page.locator('select[name=act]').selectOption('revoke');
    await page.getByRole('button', { name: 'Do it' }).click();
    await expect(page.getByRole('alert')).toContainText('for ever');
    await page.goto('keys');
    await page.getByLabel('key id').fill(id);
    await page.locator('select[name=act]').selectOption('revoke');
    await page.getByLabel(/for ever/).last().check();
    await page.getByRole('button', { name: 'Do it' }).click();
    await expect(page.getByRole('row', { name: new RegExp(id) })).toContainText('revoked');
  });
});

test('the list of requests grows by itself, and stops when told', async ({ page }) => {
  await signIn(page);
  await page.goto('requests?limit=5');
  const asked = [];
  page.on('request', (r) => asked.push(r.url()));
  const live = page.getByRole('button', { name: 'Live' });
  await live.click();
  await expect(live).toHaveAttribute('aria-pressed', 'true');
  await expect.poll(() => asked.length, { timeout: 20_000 }).toBeGreaterThan(0);
  await live.click();
  await page.getByRole('columnheader', { name: 'cost', exact: true }).getByRole('button').click();
  await expect(page.locator('tbody tr')).toHaveCount(5);
});

test('small screens and print', async ({ page }) => {
  await signIn(page);
  await page.setViewportSize({ width: 320, height: 700 });
  for (const view of views) {
    await page.goto(view);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide, `${view} is wider than a small screen`).toBe(false);
  }
  await page.emulateMedia({ media: 'print' });
  await page.goto('spend');
  await expect(page.locator('header')).toBeHidden();
});

test('how long pages take', async ({ page, context }) => {
  await signIn(page);
  const rows = [];
  for (const view of views) {
    await context.request.get(view);
    const took = [];
    for (let i = 0; i < 5; i++) {
      const began = performance.now();
      await context.request.get(view);
      took.push(performance.now() - began);
    }
    rows.push(`${view} ${took.sort((a, b) => a - b)[2].toFixed(0)} ms`);
  }
  console.log('median of five, 200 tenants, 31 days:', rows.join(', '));
});
