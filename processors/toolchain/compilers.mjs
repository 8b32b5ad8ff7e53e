// Warm compilers (esbuild and TypeScript) for one project after another, which lies in /app. JSON lines: a question on stdin, its answer on stdout.
// Arguments: suffixes of files that are imported as addresses.
//
// {do: 'transpile', files}  ->  {code: {file: JavaScript}}                     code is null where one of the files cannot be parsed
// {do: 'bundle', log}       ->  {messages: [{severity, text, file, line}], outputs: {name: base64}}
// {do: 'typecheck', config} ->  {messages: [{code, text, file, line}]}
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
  ...COMMON, entryPoints: { app: 'src/main.tsx' }, bundle: true, minify: true, format: 'esm', target: 'es2022', outdir: '/out/assets', assetNames: '[name]-[hash]', publicPath: '/assets',
  define: { 'process.env.NODE_ENV': '"production"', 'import.meta.env': '{"MODE":"production","DEV":false,"PROD":true}' },
  loader: Object.fromEntries(IMAGES.map(kind => [`.${kind}`, 'file'])), metafile: true,
};

const esbuild = createRequire('/tool/esbuild/lib/')('./main.js');
let bundler, typescript, checked = [];

const message = severity => ({ text, location }) => ({ severity, text, file: location?.file ?? null, line: location?.line ?? null });

async function bundle({ log }) {
  let result;
  try {
    bundler ??= await esbuild.context(BUNDLE);
    result = await bundler.rebuild();
  } catch (error) {
    if (!error.errors) throw error;
    return { messages: [...error.errors.map(message('error')), ...error.warnings.map(message('warning'))].slice(0, log), outputs: {} };
  }
  const messages = result.warnings.map(message('warning')).slice(0, log);
  for (const input of Object.keys(result.metafile.inputs)) // nothing but the project and the packages
    if (/^(\.\.\/(?!node_modules\/)|\/)/.test(input)) messages.push({ severity: 'error', text: `takes in what is no part of the project: ${input}`, file: null, line: null });
  const outputs = Object.fromEntries(result.outputFiles.map(({ path, contents }) => [relative('/out/assets', path), Buffer.from(contents.buffer, contents.byteOffset, contents.byteLength).toString('base64')]));
  return { messages, outputs };
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
  process.stdout.write(JSON.stringify(await { bundle, transpile, typecheck }[question.do](question)) + '\n');
}
