// Sorting of tables by their heads, and the list of requests as it grows. Without scripts the page
// has all that it has but this.
function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') !== 'descending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.querySelector('data')?.value ?? cell.textContent;
        const number = Number(text.replace(/[,$ %]/g, '').replace('−', '-'));
        return text === '–' || text === '' ? -Infinity : Number.isNaN(number) ? text : number;
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
document.querySelectorAll('table').forEach(sortable);

const list = 'section[aria-labelledby=requests]';
if (document.querySelector(list) && !new URLSearchParams(location.search).has('cursor')) {
  const live = document.createElement('button');
  live.type = 'button';
  live.textContent = 'Live';
  live.title = 'the newest ones again every three seconds';
  const press = (on) => live.setAttribute('aria-pressed', on);
  press(false);
  live.addEventListener('click', () => press(live.getAttribute('aria-pressed') !== 'true'));
  document.querySelector(list).before(live);
  setInterval(async () => {
    if (live.getAttribute('aria-pressed') !== 'true' || document.hidden) return;
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok) return press(false);
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const part of [list, '.source']) document.querySelector(part).replaceWith(page.querySelector(part));
    document.querySelectorAll(`${list} table`).forEach(sortable);
  }, 3000);
}
