// Warm compilers (esbuild and TypeScript) for one project after another, which lies in /app. JSON lines: a question on stdin, its answer on stdout.
// Arguments: suffixes of files that are imported as addresses.
//
// {do: 'transpile', files}  ->  {code: {file: JavaScript}}                     code is null where one of the files cannot be parsed
// {do: 'bundle', log}       ->  {messages: [{severity, text, file, line}], outputs: {name: base64}, shared: [name]}
// {do: 'shared'}            ->  {outputs: {name: base64}}                     what every project's bundle may name in `shared`
// {do: 'typecheck', config} ->  {messages: [{code, text, file, line}]}
//
// Packages are bundled once, as modules beside the project's own, which then is all there is to bundle. A project that takes something else of the
// packages than these modules gets one bundle of everything: there must not be two Reacts.
//
// What is kept between projects is what they share: the syntax trees of packages and libraries. esbuild compares contents before it takes an old
// tree; TypeScript finds its trees by a hash of the content, and every check has a program and a checker of its own.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { relative } from 'node:path';
import { createInterface } from 'node:readline';

const APP = '/app';
const IMAGES = process.argv.slice(2);
const COMMON = { absWorkingDir: APP, jsx: 'automatic', charset: 'utf8', legalComments: 'none', tsconfigRaw: '{}', write: false, logLevel: 'silent' };
const BUNDLE = {
  ...COMMON, bundle: true, minify: true, format: 'esm', target: 'es2022', outdir: '/out/assets', assetNames: '[name]-[hash]', publicPath: '/assets', metafile: true,
  define: { 'process.env.NODE_ENV': '"production"', 'import.meta.env': '{"MODE":"production","DEV":false,"PROD":true}' },
  loader: Object.fromEntries(IMAGES.map(kind => [`.${kind}`, 'file'])),
};
const PROJECT = { ...BUNDLE, entryPoints: { app: 'src/main.tsx' } };
const REACT = ['react-dom/client', 'react-dom', 'react/jsx-runtime', 'react'];
const MODULES = new Map([...REACT.map(name => [name, 'react.js']), ['@supabase/supabase-js', 'supabase.js']]);

const esbuild = createRequire('/tool/esbuild/lib/')('./main.js');
let split, whole, packages, typescript, checked = [];

const message = severity => ({ text, location }) => ({ severity, text, file: location?.file ?? null, line: location?.line ?? null });
const named = outputFiles => Object.fromEntries(outputFiles.map(({ path, contents }) => [relative('/out/assets', path), Buffer.from(contents.buffer, contents.byteOffset, contents.byteLength).toString('base64')]));

// The packages as two modules. React's four agree on every name that two of them have, but for the default, which here has what all of theirs have.
async function bundlePackages() {
  process.env.NODE_ENV = 'production'; // the names of CommonJS packages are those of what runs in a browser
  const installed = createRequire('/node_modules/');
  const names = [...new Set(REACT.flatMap(name => Object.keys(installed(name))))].filter(key => /^[A-Za-z_$][\w$]*$/.test(key) && key !== 'default').sort();
  const contents = {
    react: REACT.map((name, i) => `import part${i} from ${JSON.stringify(name)};`).join('') + `const all = {${REACT.map((_, i) => `...part${i}`)}}; export default all; export const {${names}} = all;`,
    supabase: `export * from '@supabase/supabase-js';`,
  };
  const plugin = { name: 'packages', setup(build) {
    build.onResolve({ filter: /^shared:/ }, ({ path }) => ({ path: path.slice(7), namespace: 'shared' }));
    build.onLoad({ filter: /./, namespace: 'shared' }, ({ path }) => ({ contents: contents[path], resolveDir: '/' }));
  } };
  const entryPoints = Object.fromEntries(Object.keys(contents).map(name => [name, `shared:${name}`]));
  return named((await esbuild.build({ ...BUNDLE, entryPoints, plugins: [plugin] })).outputFiles);
}

const outside = { name: 'outside', setup(build) {
  build.onResolve({ filter: new RegExp(`^(${[...MODULES.keys()].join('|')})$`) }, ({ path, kind }) => /^(import-statement|dynamic-import)$/.test(kind) ? { path: `./${MODULES.get(path)}`, external: true } : undefined);
} };

async function bundle({ log }) {
  let result;
  packages ??= await bundlePackages();
  try {
    split ??= await esbuild.context({ ...PROJECT, plugins: [outside] });
    result = await split.rebuild();
    if (Object.keys(result.metafile.inputs).some(path => /(^|\/)node_modules\//.test(path))) {
      whole ??= await esbuild.context(PROJECT);
      result = await whole.rebuild();
    }
  } catch (error) {
    if (!error.errors) throw error;
    return { messages: [...error.errors.map(message('error')), ...error.warnings.map(message('warning'))].slice(0, log), outputs: {}, shared: [] };
  }
  const messages = result.warnings.map(message('warning')).slice(0, log);
  for (const input of Object.keys(result.metafile.inputs)) // nothing but the project and the packages
    if (/^(\.\.\/(?!node_modules\/)|\/)/.test(input)) messages.push({ severity: 'error', text: `takes in what is no part of the project: ${input}`, file: null, line: null });
  const used = Object.values(result.metafile.outputs).flatMap(({ imports }) => imports.filter(i => i.external).map(i => i.path.replace('./', '')));
  return { messages, outputs: named(result.outputFiles), shared: [...new Set(used)].filter(name => name in packages).sort() };
}

async function shared() {
  packages ??= await bundlePackages();
  return { outputs: packages };
}

async function transpile({ files }) {
  // Numbered names: two sources may differ in their suffix only, and an output's name must lead back to its source.
  const entryPoints = files.map((name, number) => ({ in: `./${name}`, out: String(number) }));
  try {
    const { outputFiles } = await esbuild.build({ ...COMMON, entryPoints, outdir: '/out', target: 'esnext' });
    return { code: Object.fromEntries(outputFiles.map(({ path, text }) => [files[Number(relative('/out', path).slice(0, -3))], text])) };
  } catch (error) {
    if (!error.errors) throw error;
    return { code: null };
  }
}

async function typecheck({ config }) {
  const { API } = await import('/tool/typescript/dist/api/async/api.js');
  typescript ??= new API({ cwd: APP, tsserverPath: '/tool/tsc/tsc' });
  // The project before goes only now: libraries' trees are kept as long as somebody has them.
  const snapshot = await typescript.updateSnapshot({ openProjects: [config], closeProjects: checked, fileChanges: { invalidateAll: true } });
  checked = [config];
  try {
    const { program } = snapshot.getProject(config);
    let found = [...await program.getConfigFileParsingDiagnostics(), ...await program.getProgramDiagnostics(), ...await program.getSyntacticDiagnostics()];
    if (!found.length) found = [...await program.getSemanticDiagnostics(), ...await program.getGlobalDiagnostics()];
    const sources = new Map(), source = name => sources.get(name) ?? sources.set(name, readFileSync(name, 'utf8').replace(/^\uFEFF/, '')).get(name);
    return { messages: found.filter(d => d.category === 1).map(d => ({
      code: `TS${d.code}`, text: d.text.replace(/\/control\/\d+\//g, '/control/'), file: d.fileName ? relative(APP, d.fileName) : null, line: d.fileName ? source(d.fileName).slice(0, d.pos).split('\n').length : null,
    })) };
  } finally { await snapshot.dispose(); }
}

process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const question = JSON.parse(line);
  process.stdout.write(JSON.stringify(await { bundle, shared, transpile, typecheck }[question.do](question)) + '\n');
}
