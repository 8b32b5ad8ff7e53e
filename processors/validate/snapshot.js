// What a person can read and use on the page right now: visible lines of text with boxes, controls, other legible strings.
// Evaluated in the page; boxes are [x, y, width, height] in CSS pixels of the viewport.
() => {
  const W = innerWidth, H = innerHeight, texts = [], elements = [], extra_texts = [];
  const roots = [document];
  for (let i = 0; i < roots.length; i++) for (const el of roots[i].querySelectorAll('*')) if (el.shadowRoot) roots.push(el.shadowRoot);
  // every layer must be hit by elementsFromPoint, also those that let the mouse through
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('*{pointer-events:auto!important}');
  for (const r of roots) r.adoptedStyleSheets = [...r.adoptedStyleSheets, sheet];
  const styles = new Map();
  const cs = el => { let s = styles.get(el); if (!s) styles.set(el, s = getComputedStyle(el)); return s; };
  const up = el => el.assignedSlot || el.parentElement || (el.getRootNode() instanceof ShadowRoot ? el.getRootNode().host : null);
  const inside = (el, anc) => { for (let e = el; e; e = up(e)) if (e === anc) return true; return false; };
  const memo = f => { const m = new Map(); return el => { if (!m.has(el)) m.set(el, f(el)); return m.get(el); }; };
  const opacity = memo(el => { const p = up(el); return +cs(el).opacity * (p ? opacity(p) : 1); });
  const cut = (a, b) => [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
  const none = [0, 0, -1, -1];
  // where el's own box may show, and where its content may
  const boxClip = memo(el => {
    const s = cs(el); let p = up(el);
    if (!p || s.position === 'fixed') return [0, 0, W, H];
    if (s.position === 'absolute') while (p && cs(p).position === 'static' && cs(p).transform === 'none' && cs(p).contain === 'none') p = up(p);
    return p ? contentClip(p) : [0, 0, W, H];
  });
  const contentClip = memo(el => {
    const s = cs(el); let c = boxClip(el);
    if (el === document.documentElement || el === document.body) return c;
    const r = el.getBoundingClientRect();
    if (s.display !== 'inline' && s.display !== 'contents') {
      const x = s.overflowX !== 'visible' ? [r.left, r.right] : [-1e6, 1e6], y = s.overflowY !== 'visible' ? [r.top, r.bottom] : [-1e6, 1e6];
      c = cut(c, [x[0], y[0], x[1], y[1]]);
    }
    if (/^inset\((50|100)%/.test(s.clipPath)) return none;
    if (s.clip !== 'auto' && (s.position === 'absolute' || s.position === 'fixed')) {
      const n = s.clip.match(/-?[\d.]+/g)?.map(Number) ?? [];
      if (n.length === 4 && (n[1] - n[3] <= 2 || n[2] - n[0] <= 2)) return none;
    }
    return c;
  });
  const alpha = colour => { const m = /rgba?\(([^)]*)\)/.exec(colour); if (!m) return colour === 'transparent' ? 0 : 1;
    const n = m[1].split(/[,\/ ]+/).filter(Boolean).map(parseFloat); return n.length > 3 ? n[3] : 1; };
  const paint = memo(el => {
    const s = cs(el), o = opacity(el);
    if (s.visibility !== 'visible' || o < 0.04) return 0;
    if (/blur/.test(s.backdropFilter || '')) return 1;
    if (/^(IMG|CANVAS|VIDEO|IFRAME|EMBED|OBJECT)$/.test(el.tagName)) return o;
    if (el instanceof SVGElement) return /^(svg|g|text|tspan|use|symbol|defs)$/.test(el.tagName) || s.fill === 'none' ? 0 : o * +s.fillOpacity * alpha(s.fill);
    return Math.max(o * alpha(s.backgroundColor), /url\(/.test(s.backgroundImage) ? 0.3 * o : 0);
  });
  const stackAt = (x, y) => { const out = [], seen = new Set();
    const add = root => { for (const el of root.elementsFromPoint(x, y)) { if (seen.has(el)) continue; seen.add(el); if (el.shadowRoot) add(el.shadowRoot); out.push(el); } };
    add(document); return out; };
  // a canvas is as opaque as what is drawn on it there
  const probe = document.createElement('canvas'); probe.width = probe.height = 1;
  const pen = probe.getContext('2d', { willReadFrequently: true });
  const drawn = (el, x, y) => {
    const r = el.getBoundingClientRect(), under = alpha(cs(el).backgroundColor);
    if (!r.width || !r.height || !el.width || !el.height) return 0;
    try { pen.clearRect(0, 0, 1, 1); pen.drawImage(el, (x - r.left) / r.width * el.width, (y - r.top) / r.height * el.height, 1, 1, 0, 0, 1, 1);
      return opacity(el) * Math.max(under, pen.getImageData(0, 0, 1, 1).data[3] / 255); } catch (e) { return opacity(el); }
  };
  // how much of what is painted for el at this point comes through: 1 nothing in front, 0 covered
  const through = (el, x, y) => { let left = 1;
    for (const t of stackAt(Math.min(W - 1, Math.max(0, x)), Math.min(H - 1, Math.max(0, y)))) {
      if (inside(t, el) || inside(el, t)) return left;
      left *= 1 - (t.tagName === 'CANVAS' ? drawn(t, x, y) : paint(t));
      if (left < 0.08) return 0;
    }
    return left; };
  const hidden = memo(el => !el.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) || opacity(el) < 0.12);
  const round = (l, t, r, b) => [l, t, r - l, b - t].map(v => Math.round(v * 10) / 10);

  const letters = (n, from, to) => { const range = document.createRange(), out = [];
    for (let i = from; i < to; i++) { range.setStart(n, i); range.setEnd(n, i + 1); out.push([n.data[i], range.getBoundingClientRect()]); }
    return out; };
  const joined = cs_ => ({ text: cs_.map(c => c[0]).join(''), left: Math.min(...cs_.map(c => c[1].left)), right: Math.max(...cs_.map(c => c[1].right)),
    top: Math.min(...cs_.map(c => c[1].top)), bottom: Math.max(...cs_.map(c => c[1].bottom)) });
  for (const root of roots) {
    const walk = document.createTreeWalker(root === document ? document.body : root, NodeFilter.SHOW_TEXT);
    for (let n; (n = walk.nextNode());) {
      const el = n.parentElement ?? n.getRootNode().host;
      if (!n.data.trim() || !el || el.closest('script,style,noscript,option,template,textarea')) continue;
      const s = cs(el);
      if (hidden(el) || alpha(s.webkitTextFillColor || s.color) < 0.12 || parseFloat(s.fontSize) < 5) continue;
      if (/^["']?[^,]*(icons?\b|awesome|glyph|material symbols)/i.test(s.fontFamily)) continue;
      const c = contentClip(el);
      if (c[2] <= c[0] || c[3] <= c[1]) continue;
      let dots = 0;
      for (let e = el; e && !dots; e = up(e)) { if (cs(e).textOverflow === 'ellipsis' && cs(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1) dots = 0.9 * parseFloat(s.fontSize); if (cs(e).display !== 'inline') break; }
      const range = document.createRange(), lines = { front: [], dimmed: [], cut: [] };
      for (const w of n.data.matchAll(/\S+/g)) {
        range.setStart(n, w.index); range.setEnd(n, w.index + w[0].length);
        const whole = range.getBoundingClientRect();
        if (whole.width < 1 || whole.height < 2 || whole.right < c[0] || whole.left > c[2] || whole.bottom < c[1] || whole.top > c[3]) continue;
        const rects = [...range.getClientRects()].filter(r => r.width > 0);
        let parts = [{ text: w[0], left: whole.left, right: whole.right, top: whole.top, bottom: whole.bottom }];
        if (rects.length > 1 && Math.max(...rects.map(r => r.top)) - Math.min(...rects.map(r => r.top)) > 3) {
          const groups = [];
          for (const ch of letters(n, w.index, w.index + w[0].length)) { if (ch[1].width <= 0) continue; const g = groups.at(-1); if (g && Math.abs(g[0][1].top - ch[1].top) < 3) g.push(ch); else groups.push([ch]); }
          parts = groups.map(joined);
        } else if (whole.left < c[0] - 1 || whole.right > c[2] + 1 || (dots && whole.right > c[2] - 1)) {
          const keep = letters(n, w.index, w.index + w[0].length).filter(ch => ch[1].left >= c[0] - 1.5 && ch[1].right <= c[2] - (dots || -1.5));
          parts = keep.length ? [{ ...joined(keep), cut: true }] : [];
        }
        for (const p of parts) {
          const h = p.bottom - p.top, vis = Math.min(p.bottom, c[3]) - Math.max(p.top, c[1]);
          if (vis < 0.3 * h) continue;
          const y = (Math.max(p.top, c[1]) + Math.min(p.bottom, c[3])) / 2, wd = p.right - p.left;
          const three = [0.05, 0.5, 0.95].map(f => through(el, p.left + wd * f, y));
          const level = v => v < 0.25 ? 0 : v < 0.8 ? 1 : 2;
          let t = three[1];
          if (new Set(three.map(level)).size > 1) { // partly covered: only the letters that show
            const run = letters(n, w.index, w.index + w[0].length).filter(ch => ch[1].width > 0 && ch[1].left >= p.left - 1 && ch[1].right <= p.right + 1)
              .map(ch => [...ch, through(el, (ch[1].left + ch[1].right) / 2, y)]);
            const best = Math.max(...run.map(ch => level(ch[2])), 0), keep = run.filter(ch => level(ch[2]) === best);
            if (!best || !keep.length) continue;
            Object.assign(p, joined(keep)); t = best === 2 ? 1 : 0.5;
          }
          if (t < 0.25) continue;
          const to = vis < 0.65 * h ? lines.cut : t < 0.8 ? lines.dimmed : lines.front, last = to.at(-1);
          if (last && Math.abs(last.top - p.top) < 3 && p.left >= last.right - 3) { last.text += ' ' + p.text; last.right = p.right; last.bottom = Math.max(last.bottom, p.bottom); }
          else to.push({ ...p });
        }
      }
      for (const which in lines) for (const l of lines[which]) {
        const b = cut([l.left, l.top, l.right, l.bottom], c), entry = { text: l.text, box: round(...b) };
        if (which === 'front') texts.push(entry); else extra_texts.push({ ...entry, source: which });
      }
    }
  }

  const kind = el => {
    const t = el.tagName, ty = (el.type || '').toLowerCase(), role = el.getAttribute('role');
    if (t === 'INPUT' && (ty === 'checkbox' || ty === 'radio')) return ty;
    if (t === 'BUTTON' || role === 'button' || (t === 'INPUT' && ['submit', 'button', 'reset'].includes(ty))) return 'button';
    if (t === 'INPUT' || t === 'TEXTAREA') return 'input';
    if (t === 'SELECT' || role === 'combobox') return 'select';
    if (t === 'A') return 'link';
    if (t === 'IMG' || t === 'CANVAS') return 'image';
    if (/^H[1-6]$/.test(t)) return 'heading';
    if (t === 'TABLE') return 'table';
    return null;
  };
  for (const root of roots) for (const el of root.querySelectorAll('button,[role=button],input,textarea,select,[role=combobox],a[href],img,canvas,h1,h2,h3,h4,h5,h6,table')) {
    if ((el.type || '') === 'hidden' || hidden(el)) continue;
    const r = el.getBoundingClientRect(), c = cut(boxClip(el), [r.left, r.top, r.right, r.bottom]);
    const s0 = cs(el);
    if (r.width < 4 || r.height < 4 || c[2] - c[0] < 4 || c[3] - c[1] < 4 || contentClip(el) === none) continue;
    if ((c[2] - c[0]) * (c[3] - c[1]) < 0.5 * r.width * r.height && el.tagName !== 'TABLE' && el.tagName !== 'CANVAS' && el.tagName !== 'IMG') continue;
    const at = (fx, fy) => through(el, c[0] + (c[2] - c[0]) * fx, c[1] + (c[3] - c[1]) * fy);
    const clear = at(0.5, 0.5) >= 0.8 && [[0.1, 0.5], [0.9, 0.5], [0.5, 0.15], [0.5, 0.85]].filter(f => at(...f) >= 0.8).length >= 2;
    if (!clear) continue;
    const text = (el.type === 'password' && el.value ? '•'.repeat(el.value.length) : el.value && ['INPUT', 'TEXTAREA'].includes(el.tagName) && !['checkbox', 'radio'].includes(el.type) ? el.value
      : el.tagName === 'SELECT' ? (el.selectedOptions[0]?.textContent ?? '') : el.innerText || el.placeholder || el.alt || '').trim().replace(/\s+/g, ' ').slice(0, 200);
    elements.push({ kind: kind(el), text, box: round(...c) });
    const field = el.tagName === 'SELECT' ? 'option' : /^(INPUT|TEXTAREA)$/.test(el.tagName) && !['checkbox', 'radio', 'range', 'color', 'file', 'password', 'image'].includes(el.type) ? (el.value ? 'value' : 'placeholder') : null;
    if (field) {
      const pad = k => parseFloat(s0['padding' + k]) + parseFloat(s0['border' + k + 'Width']);
      const b = cut(c, [r.left + pad('Left'), r.top + pad('Top'), r.right - pad('Right'), r.bottom - pad('Bottom')]);
      const shown = field === 'placeholder' ? el.placeholder : text;
      if (shown && b[2] > b[0] && b[3] > b[1]) extra_texts.push({ text: shown, box: round(...b), source: field });
    }
  }
  for (const el of document.body.querySelectorAll('*')) for (const p of ['::before', '::after']) {
    const said = getComputedStyle(el, p).content.match(/^"([^"]*[\p{L}\p{N}]{2}[^"]*)"/u);
    if (!said || hidden(el) || getComputedStyle(el, p).display === 'none') continue;
    const r = el.getBoundingClientRect(), c = cut(boxClip(el), [r.left, r.top, r.right, r.bottom]);
    if (c[2] > c[0] + 2 && c[3] > c[1] + 2 && through(el, (c[0] + c[2]) / 2, (c[1] + c[3]) / 2) > 0.8) extra_texts.push({ text: said[1], box: round(...c), source: 'pseudo' });
  }
  for (const r of roots) r.adoptedStyleSheets = r.adoptedStyleSheets.filter(x => x !== sheet);
  return { url: location.pathname + location.search, title: document.title, texts, elements, extra_texts };
}
