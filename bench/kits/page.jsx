// Made-up pages of many kinds, drawn with whatever kit stands behind the names in `kit`. The address says which: ?seed=7&dark=1
import React from "react";
import { createRoot } from "react-dom/client";
import { kit } from "kit";

const query = new URLSearchParams(location.search);
let state = (Number(query.get("seed") || 1) * 2654435761) >>> 0;
const rnd = () => { state ^= state << 13; state >>>= 0; state ^= state >>> 17; state ^= state << 5; state >>>= 0; return state / 4294967296; };
const pick = (list) => list[Math.floor(rnd() * list.length)];
const chance = (p) => rnd() < p;
const int = (a, b) => a + Math.floor(rnd() * (b - a + 1));
const some = (n, make) => Array.from({ length: n }, (_, i) => make(i));

const NOUNS = "Order Invoice User Project Task Report Event Device Model Dataset Pipeline Worker Queue Topic Cluster Product Ticket Payment Customer Team Member Role Policy Backup Server Volume Image Build Release Branch Issue Comment Note Page Asset Course Student Patient Recipe Playlist Track Album Flight Booking Room Guest Vehicle Route Sensor Alert Rule Metric Trace Log Job Schedule".split(" ");
const VERBS = "Save Create Add Edit Delete Remove Update Apply Reset Cancel Submit Search Filter Export Import Refresh Upload Download Run Stop Start Close Next Back Continue Archive Share Copy Connect Deploy Approve Reject Send Subscribe".split(" ");
const FIRST = "Ada Ben Carla Deniz Elif Farid Greta Hugo Ines Jonas Kavya Liam Mona Nils Olga Priya Quinn Rosa Sven Tara Umar Vera Wen Yuki Zoe".split(" ");
const LAST = "Abbott Berg Costa Diaz Ekman Fischer Gupta Hansen Ito Jensen Kim Lopez Meyer Novak Okafor Park Rossi Silva Tran Weber".split(" ");
const WORDS = "the of new data every when service value with from each your between first after user before small large system open report this next day week team note field list set may will should more less than other still only also".split(" ");
const STATES = "Active Pending Failed Done Draft Running Paused Open Closed New".split(" ");
const noun = () => pick(NOUNS), plural = () => noun() + "s", name = () => `${pick(FIRST)} ${pick(LAST)}`;
const sentence = (n) => { const s = some(n, () => chance(0.15) ? noun().toLowerCase() : pick(WORDS)).join(" "); return s[0].toUpperCase() + s.slice(1) + "."; };
const verb = () => chance(0.5) ? pick(VERBS) : `${pick(VERBS)} ${noun().toLowerCase()}`;
const date = () => `20${int(19, 27)}-${String(int(1, 12)).padStart(2, "0")}-${String(int(1, 28)).padStart(2, "0")}`;
const cell = (c) => [() => String(int(1, 9999)), name, date, () => pick(STATES), () => `$${int(1, 900)}.${int(10, 99)}`, () => `${pick(FIRST).toLowerCase()}@example.org`, () => noun() + " " + int(1, 99)][c]();

const ICONS = [
  "M4 6h16M4 12h16M4 18h16", "M12 4v16M4 12h16", "M5 12l5 5L20 7", "M6 6l12 12M18 6L6 18", "M10 4a6 6 0 1 1 0 12a6 6 0 0 1 0-12M15 15l6 6",
  "M4 20l4-1L20 7l-3-3L5 16zM14 6l4 4", "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13", "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v4M12 18v4M2 12h4M18 12h4", "M6 9l6 6l6-6", "M4 11l8-7l8 7v9h-5v-6h-6v6H4z",
  "M6 16V10a6 6 0 0 1 12 0v6l2 2H4zM10 20h4", "M12 4a4 4 0 1 0 0 8a4 4 0 0 0 0-8M4 21c0-8 16-8 16 0",
];
const FILLED = chance(0.3);
export const Icon = ({ size = 18, d }) => (
  <svg width={size} height={size} viewBox="0 0 24 24" fill={FILLED ? "currentColor" : "none"} stroke="currentColor" strokeWidth="2" style={{ verticalAlign: "middle" }}><path d={d || ICONS[0]} /></svg>
);
const icon = (size) => <Icon size={size || int(14, 22)} d={pick(ICONS)} />;
const href = () => `#/${noun().toLowerCase()}/${int(1, 99)}`;
const A = kit.Link || (({ children, ...p }) => <a href={href()} {...p}>{children}</a>);
const link = (text) => <A href={href()}>{text}</A>;

function Chart({ w, h }) {
  const kind = pick(["line", "bars", "pie"]);
  const points = some(int(6, 20), () => rnd());
  const colour = pick(["#3b82f6", "#10b981", "#f59e0b", "#8b5cf6", "#ef4444"]);
  const draw = (el) => {
    if (!el) return;
    const c = el.getContext("2d"); c.fillStyle = c.strokeStyle = colour; c.lineWidth = 2; c.clearRect(0, 0, w, h);
    if (kind === "pie") { let a = 0; points.slice(0, 4).forEach((p, i) => { c.fillStyle = ["#3b82f6", "#10b981", "#f59e0b", "#94a3b8"][i]; c.beginPath(); c.moveTo(w / 2, h / 2); c.arc(w / 2, h / 2, h / 2.4, a, a += 0.3 + p * 2); c.fill(); }); }
    else if (kind === "bars") points.forEach((p, i) => c.fillRect(10 + i * (w - 20) / points.length, h - 16 - p * (h - 30), (w - 20) / points.length - 5, p * (h - 30)));
    else { c.beginPath(); points.forEach((p, i) => c.lineTo(10 + i * (w - 20) / (points.length - 1), h - 16 - p * (h - 30))); c.stroke(); }
    c.strokeStyle = "#8884"; c.beginPath(); c.moveTo(8, h - 15); c.lineTo(w - 4, h - 15); c.stroke();
  };
  return <canvas width={w} height={h} ref={draw} style={{ display: "block" }} />;
}
const picture = (w, h, round) => {
  const hue = int(0, 360), shapes = some(int(4, 9), (i) => `<circle cx="${int(0, 100)}" cy="${int(0, 100)}" r="${int(8, 40)}" fill="hsl(${hue + i * 30} ${int(30, 80)}% ${int(30, 80)}%)"/>`).join("");
  const src = "data:image/svg+xml," + encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" preserveAspectRatio="none"><rect width="100" height="100" fill="hsl(${hue} 50% 60%)"/>${shapes}</svg>`);
  return <img src={src} width={w} height={h} alt="" style={{ borderRadius: round ? "50%" : pick([0, 4, 8]), objectFit: "cover" }} />;
};

const gap = pick([8, 12, 16, 24]);
const Row = ({ children, style }) => <div style={{ display: "flex", gap, alignItems: "center", flexWrap: "wrap", ...style }}>{children}</div>;
const Stack = ({ children, style }) => <div style={{ display: "flex", flexDirection: "column", gap, ...style }}>{children}</div>;
const heading = (level, text) => kit.Heading ? <kit.Heading level={level}>{text}</kit.Heading> : React.createElement("h" + level, {}, text);
const button = (p = {}) => <kit.Button variant={pick(["primary", "primary", "default", "default", "danger", "text", "small"])} {...p}>{p.icon ? icon() : chance(0.2) ? <span>{icon(16)} {verb()}</span> : verb()}</kit.Button>;
const iconButton = () => <kit.Button variant="icon" aria-label="x">{icon(18)}</kit.Button>;
const labels = { above: chance(0.75), width: pick([220, 280, 340, 480]) };
const field = () => {
  const label = chance(0.9) ? noun() + (chance(0.3) ? " name" : "") : "";
  const what = rnd();
  const style = { width: labels.width };
  if (what < 0.55) return <kit.Input label={label} style={style} placeholder={chance(0.5) ? `${pick(["Enter", "Your", "e.g."])} ${noun().toLowerCase()}` : ""} defaultValue={chance(0.4) ? cell(int(0, 6)) : undefined} />;
  if (what < 0.8) return <kit.Select label={label} style={style} options={some(4, (i) => noun() + " " + i)} />;
  if (what < 0.9) return <kit.Area label={label} style={style} placeholder={chance(0.5) ? sentence(4) : ""} defaultValue={chance(0.4) ? sentence(12) : undefined} />;
  return <kit.Input label={label} style={style} type="password" defaultValue={chance(0.6) ? "secret12" : undefined} placeholder="Password" />;
};
const ticks = () => chance(0.6) ? some(int(1, 4), (i) => <kit.Check key={i} label={sentence(int(1, 4))} on={chance(0.5)} />) : (() => { const on = int(0, 2); return some(3, (i) => <kit.Radio key={i} group={"g" + state} label={noun()} on={i === on} />); })();
const Panel = kit.Card || (({ children, title }) => <div style={{ border: "1px solid #8885", borderRadius: pick([0, 4, 8]), padding: pick([12, 16, 24]) }}>{title}{children}</div>);
const panel = (children, title) => <Panel>{title ? heading(pick([2, 3, 4, 5]), title) : null}{children}</Panel>;

const PARTS = {
  form: () => panel(<Stack><div style={{ display: "grid", gap, gridTemplateColumns: `repeat(${pick([1, 1, 2])}, max-content)` }}>{some(int(2, 7), (i) => <div key={i}>{field()}</div>)}</div><div>{ticks()}</div><Row>{some(int(1, 3), (i) => <span key={i}>{button()}</span>)}{chance(0.3) ? link("Forgot your password?") : null}</Row></Stack>, chance(0.7) && `${pick(VERBS)} ${noun()}`),
  table: () => { const cols = some(int(3, 6), () => int(0, 6)); const linked = chance(0.5), acts = chance(0.4), boxes = chance(0.3);
    const t = <kit.Table head={[...(boxes ? [""] : []), ...cols.map(() => noun()), ...(acts ? ["Actions"] : [])]} rows={some(int(3, 9), () => [...(boxes ? [<kit.Check on={chance(0.3)} />] : []), ...cols.map((c, i) => i === 0 && linked ? link(cell(c)) : cell(c)), ...(acts ? [<span>{chance(0.5) ? <>{link("Edit")} {link("Delete")}</> : button({ variant: "small" })}</span>] : [])])} />;
    return chance(0.5) ? panel(t, plural()) : <div>{t}</div>; },
  stats: () => <Row>{some(int(2, 4), (i) => <div key={i} style={{ minWidth: 180 }}>{panel(<div><div style={{ fontSize: int(20, 32), fontWeight: 600 }}>{int(10, 9999)}</div><small>{plural()}</small></div>)}</div>)}</Row>,
  text: () => <div style={{ maxWidth: pick([500, 700, 900]) }}>{heading(pick([2, 3]), sentence(4).slice(0, -1))}<p>{sentence(14)} {link(sentence(2).slice(0, -1))} {sentence(18)}</p><p>{sentence(22)}</p></div>,
  chart: () => panel(<Chart w={int(260, 700)} h={int(120, 260)} />, chance(0.7) && `${plural()} by day`),
  pictures: () => <Row>{some(int(2, 4), (i) => <div key={i} style={{ width: 200 }}>{panel(<div>{picture(168, int(80, 140))}<p>{sentence(6)}</p>{chance(0.5) ? button() : link("Read more")}</div>, noun())}</div>)}</Row>,
  people: () => panel(<Stack>{some(int(2, 5), (i) => <Row key={i}>{picture(36, 36, true)}<div>{chance(0.5) ? link(name()) : name()}<br /><small>{sentence(4)}</small></div>{chance(0.5) ? button({ variant: "small" }) : iconButton()}</Row>)}</Stack>, plural()),
  tools: () => <Row>{some(int(2, 5), (i) => <span key={i}>{chance(0.35) ? iconButton() : button()}</span>)}{chance(0.5) ? <kit.Input label="" placeholder={"Search " + plural().toLowerCase()} style={{ width: 240 }} /> : null}</Row>,
  tabs: () => <kit.Tabs names={some(int(2, 5), () => chance(0.5) ? plural() : noun())}><p>{sentence(12)}</p></kit.Tabs>,
  links: () => <div>{heading(pick([3, 4, 5]), plural())}<ul>{some(int(3, 7), (i) => <li key={i}>{link(sentence(int(1, 5)).slice(0, -1))}</li>)}</ul></div>,
  settings: () => panel(<Stack>{some(int(2, 5), (i) => <div key={i} style={{ display: "flex", justifyContent: "space-between", gap: 40 }}><div><b>{noun()}</b><br /><small>{sentence(7)}</small></div><div>{chance(0.5) ? <kit.Check label="" on={chance(0.5)} /> : chance(0.5) ? <kit.Select label="" style={{ width: 160 }} options={[noun(), noun()]} /> : button({ variant: "default" })}</div></div>)}</Stack>, "Settings"),
  pager: () => <Row>{link("Previous")}{some(4, (i) => <span key={i}>{link(String(i + 1))}</span>)}{link("Next")}</Row>,
};

function Page() {
  const dark = query.get("dark") === "1";
  const side = chance(0.5), bar = chance(0.75);
  const tint = dark ? pick(["#111827", "#1e1e1e", "#0f172a", "#18181b"]) : pick(["#ffffff", "#f8f9fa", "#1f2937", "#2563eb", "#f1f5f9"]);
  const light = !dark && ["#ffffff", "#f8f9fa", "#f1f5f9"].includes(tint);
  const ink = light ? "#222" : "#f5f5f5";
  const quiet = (text, extra) => <a href={href()} style={{ color: ink, textDecoration: "none", ...extra }}>{text}</a>;
  const pad = pick([4, 8, 10]);
  const entries = some(int(3, 8), plural), active = int(0, 2), marked = chance(0.7), drawn = chance(0.6);
  const login = chance(0.12);
  if (login) return <div style={{ display: "flex", justifyContent: "center", paddingTop: int(40, 140) }}><div style={{ width: int(320, 460) }}>{panel(<Stack>{heading(pick([1, 2, 3]), pick(["Sign in", "Log in", "Welcome back", "Create account"]))}<kit.Input label="Email" placeholder="you@example.org" style={{ width: "100%" }} /><kit.Input label="Password" type="password" style={{ width: "100%" }} /><kit.Check label="Remember me" on={chance(0.5)} />{button({ variant: "primary" })}{link("Forgot your password?")}</Stack>)}</div></div>;
  const many = Object.keys(PARTS);
  return <div>
    {bar ? <header style={{ display: "flex", alignItems: "center", gap: pick([12, 24]), padding: `${pick([6, 10, 14])}px ${pick([16, 24])}px`, background: tint, color: ink, borderBottom: light ? "1px solid #8883" : "none" }}>
      {chance(0.4) ? picture(28, 28) : null}{quiet(pick(["Acme", "Orbit", "Nimbus", "Fjord"]) + pick([" Admin", " Cloud", "", " Lab"]), { fontSize: int(16, 22), fontWeight: pick([400, 700]) })}
      <nav style={{ display: "flex", gap: pick([4, 16, 24]) }}>{some(side ? int(0, 3) : int(2, 6), (i) => <span key={i}>{quiet(plural(), { padding: pad, display: "inline-block" })}</span>)}</nav>
      <span style={{ flex: 1 }} />{chance(0.4) ? <kit.Input label="" placeholder="Search" style={{ width: 200 }} /> : null}
      {some(int(0, 3), (i) => <span key={i}>{iconButton()}</span>)}{chance(0.5) ? picture(32, 32, true) : null}
    </header> : null}
    <div style={{ display: "flex" }}>
      {side ? <aside style={{ width: pick([180, 220, 260]), minHeight: 900, padding: pick([8, 12]), borderRight: "1px solid #8883", background: dark ? "#0003" : pick(["transparent", "#f6f6f8", "#fff"]), boxSizing: "border-box", flex: "none" }}>
        {chance(0.4) ? <small style={{ padding: pad, opacity: 0.6 }}>{chance(0.5) ? "MAIN MENU" : "Workspace"}</small> : null}
        {entries.map((e, i) => <a key={i} href={href()} style={{ display: "flex", gap: 10, alignItems: "center", padding: `${pad}px 12px`, margin: pick([0, 2]) + "px 0", borderRadius: 6, textDecoration: "none", color: "inherit", background: marked && i === active ? "#3b82f622" : "transparent" }}>{drawn ? <Icon d={ICONS[i]} /> : null}{e}</a>)}
      </aside> : null}
      <main style={{ padding: pick([16, 24, 32]), flex: 1, minWidth: 0 }}>
        <Stack style={{ gap: gap * 1.5 }}>
          {chance(0.3) ? <small>{link("Home")} / {link(plural())} / {noun()}</small> : null}
          {chance(0.8) ? <div style={{ display: "flex", justifyContent: "space-between", alignItems: "center" }}>{heading(1, chance(0.5) ? plural() : `${noun()} ${noun().toLowerCase()}`)}{chance(0.5) ? <Row>{some(int(1, 2), (i) => <span key={i}>{button()}</span>)}</Row> : null}</div> : null}
          {some(int(3, 6), (i) => <div key={i} style={{ display: "flex", gap, alignItems: "flex-start" }}>{chance(0.35) ? some(2, (k) => <div key={k} style={{ flex: 1, minWidth: 0 }}>{PARTS[pick(many)]()}</div>) : <div style={{ flex: 1, minWidth: 0 }}>{PARTS[pick(many)]()}</div>}</div>)}
        </Stack>
      </main>
    </div>
  </div>;
}

const Wrap = kit.Wrap || (({ children }) => children);
// drawn once: a second drawing would draw other numbers
const page = Page();
createRoot(document.getElementById("root")).render(<Wrap dark={query.get("dark") === "1"}>{page}</Wrap>);
