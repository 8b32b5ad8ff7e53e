"""Gate ``links``: every link within the application leads to a page of it.

The application is asked first for a path that no application has; what it shows there is its answer to a dead link. Then its links are
followed, breadth first, by the browser's history, as its own router does. Where it answers as it did to the path that no application
has, the link is dead. An application without links is not disturbed.
"""

from __future__ import annotations

from processors.toolchain.browser import Opened, PageError
from processors.toolchain.findings import Finding
from processors.validate.policy import ValidationPolicy

GATE = "links"

_FOLLOW = """
async ({ most, depth }) => {
  // After what the application left for later, timers first. A message between two timers, since nested timers are made to wait.
  const turned = () => new Promise(done => setTimeout(() => { const hop = new MessageChannel(); hop.port1.onmessage = () => done(); hop.port2.postMessage(0); }));
  document.documentElement.style.opacity = 0;  // nobody looks: nothing need be drawn
  const address = () => location.pathname + location.search;
  // All its text is asked first: what of it shows takes a layout, which is most of what following a link costs.
  const shows = (path, all) => ((all ? document.body.textContent : document.body.innerText) || '').split(path).join('').replace(/\\s+/g, ' ').trim();
  const go = async path => {
    history.pushState(null, '', path);
    dispatchEvent(new PopStateEvent('popstate'));
    await turned();
    let now = shows(path, true);
    for (let before = null; before !== now; now = shows(path, true)) { before = now; await turned(); }
    return now;
  };
  const links = () => [...document.querySelectorAll('a[href]')]
    .filter(a => a.origin === location.origin && !a.hasAttribute('download') && (!a.target || a.target === '_self') && !a.getAttribute('href').startsWith('#'))
    .map(a => a.pathname + a.search);
  // Rows of one table link to pages of one kind, and one of a kind is enough to know it.
  const kind = path => path.split('?')[0].split('/').map(part => /\\d/.test(part) ? '*' : part).join('/');
  const kinds = new Set();
  const start = address(), known = new Set([start]), dead = [];
  let wave = [...new Set(links())].filter(path => !known.has(path)).map(path => [path, start]);
  if (!wave.length) return dead;
  const unknown = '/no-such-page-7f3a/no-such-part-91c2/none', nowhere = await go(unknown), nothing = shows(unknown);
  let followed = 0;
  for (let level = 0; level < depth && wave.length; level++) {
    const next = [];
    for (const [path, from] of wave) {
      if (known.has(path) || followed >= most) continue;
      known.add(path);
      if (kinds.has(kind(path))) continue;
      kinds.add(kind(path));
      followed++;
      if (await go(path) === nowhere && shows(path) === nothing) dead.push({ path, from });
      else for (const further of links()) if (!known.has(further)) next.push([further, path]);
    }
    wave = next;
  }
  await go(start);
  return dead;
}
"""


async def follow(opened: Opened, policy: ValidationPolicy) -> list[Finding]:
    """An error for each dead link found within two steps of the page that shows now; ``policy.most_links`` are followed at most."""
    try:
        found = await opened.page.watch(_FOLLOW, {"most": policy.most_links, "depth": 2}, unseen=True)
    except PageError as error:
        if opened.log.crashed:
            raise
        return [Finding(GATE, "links.left", f"following its links left the application: {error.brief}")]
    return [
        Finding(GATE, "links.dead", f"the link to {dead['path'][:120]!r} on {dead['from'][:120]!r} leads to no page of the application")
        for dead in found
    ]
