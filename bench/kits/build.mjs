// node bench/kits/build.mjs KITS OUT      KITS holds node_modules/; OUT gets a folder a kit: index.html, page.js, page.css
// A kit that is not installed is left out, and said so.
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [kits, out] = process.argv.slice(2).map((p) => resolve(p));
const here = dirname(fileURLToPath(import.meta.url));
const { build } = createRequire(join(kits, "package.json"))("esbuild");
const modules = join(kits, "node_modules");
const sheets = { bulma: "bulma/css/bulma.css", pico: "@picocss/pico/css/pico.css", foundation: "foundation-sites/dist/css/foundation.css", fomantic: "fomantic-ui-css/semantic.css",
  materialize: "materialize-css/dist/css/materialize.css", water: "water.css/out/water.css", spectre: "spectre.css/dist/spectre.css" };
for (const theme of ["cerulean", "darkly", "flatly", "lux", "materia", "sketchy", "slate", "united", "vapor", "zephyr", "cyborg", "litera"]) sheets["bootstrap-" + theme] = `bootswatch/dist/${theme}/bootstrap.css`;
const jobs = [...Object.keys(sheets).map((name) => [name, "css.jsx"]), ...["antd", "mui", "mantine", "carbon", "patternfly", "fluent", "vaadin"].map((name) => [name, name + ".jsx"])];
for (const [name, adapter] of jobs) {
  const folder = join(out, name);
  mkdirSync(folder, { recursive: true });
  try {
    if (sheets[name]) cpSync(join(modules, dirname(sheets[name])), join(folder, "css"), { recursive: true });
    await build({
      entryPoints: [join(here, "page.jsx")], bundle: true, outfile: join(folder, "page.js"), nodePaths: [modules], logLevel: "silent", jsx: "transform", minify: true,
      define: { KIT: JSON.stringify(name.split("-")[0]), "process.env.NODE_ENV": '"production"' }, alias: { kit: join(here, adapter) },
      loader: { ".woff": "dataurl", ".woff2": "dataurl", ".ttf": "dataurl", ".svg": "dataurl", ".png": "dataurl", ".eot": "empty" }, external: ["https://*"],
    });
    const css = sheets[name] ? `css/${sheets[name].split("/").at(-1)}` : existsSync(join(folder, "page.css")) ? "page.css" : "";
    writeFileSync(join(folder, "index.html"), `<!doctype html><html><head><meta charset="utf-8"><title>${name}</title>${css ? `<link rel="stylesheet" href="${css}">` : ""}</head>` +
      `<body><div id="root"></div><script>const q = new URLSearchParams(location.search); if (q.get("dark") === "1") { document.documentElement.setAttribute("data-bs-theme", "dark"); document.documentElement.setAttribute("data-theme", "dark"); }</script><script src="page.js"></script></body></html>`);
    console.log("built", name);
  } catch (error) {
    console.error("left out", name, String(error.message || error).split("\n").slice(0, 3).join(" | "));
  }
}
