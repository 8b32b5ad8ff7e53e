// Bundles src/ into dist/assets/ and writes dist/index.html, which loads the bundle instead of the sources.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

await build({
  entryPoints: { app: "src/main.tsx" },
  outdir: "dist/assets",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  assetNames: "[name]-[hash]",
  publicPath: "/assets",
  loader: { ".gif": "file", ".jpeg": "file", ".jpg": "file", ".png": "file", ".svg": "file", ".webp": "file" },
});

let page = readFileSync("index.html", "utf8").replace("/src/main.tsx", "/assets/app.js");
if (existsSync("dist/assets/app.css")) {
  page = page.replace("</head>", '<link rel="stylesheet" href="/assets/app.css">\n</head>');
}
mkdirSync("dist", { recursive: true });
writeFileSync("dist/index.html", page);
