// A warm PostgreSQL (PGlite) that runs one artifact's migrations after another. JSON lines: a job on stdin, its result on stdout.
//
// job     {migrations: [{name, sql, repeatable}], afresh}    afresh: nothing ran before in this process
// result  {failed: {name, repeat, message, code, position} | null, changed, clean,
//          tables: [{name, columns, rls, policies, owner, isolation: {tested, why, leaks: [...]}}]}
//         or {again: true}: a new process must do it, afresh
// `clean` says whether everything the job left behind could be taken away; if not, the process must be replaced.
import { createInterface } from 'node:readline';
import { PGlite } from '/pglite/dist/index.js';

const ALICE = '00000000-0000-4000-8000-00000000000a', BOB = '00000000-0000-4000-8000-00000000000b';

// What a Supabase project has before the first migration.
const PLATFORM = `
create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
create schema auth; create schema extensions;
grant usage on schema auth, public to anon, authenticated, service_role;
create table auth.users (id uuid primary key, email text);
create function auth.jwt() returns jsonb language sql stable as
  $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $$;
create function auth.uid() returns uuid language sql stable as $$ select nullif(auth.jwt()->>'sub', '')::uuid $$;
create function auth.role() returns text language sql stable as $$ select coalesce(auth.jwt()->>'role', 'anon') $$;
`;

// Everything a migration could change outside the schema public, and everything inside it. Of what the database itself brought with it, thousands
// of rows, the transactions that wrote them are enough: whoever changes one writes another row.
const OUTSIDE = `
with builtin as (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema')), own as (select oid from pg_namespace where nspname ~ '^(pg_toast|pg_temp|public)')
select md5(string_agg(line, E'\\n' order by line)) as digest from (
  select concat_ws(' ', 'role', rolname, rolsuper, rolbypassrls, rolcreaterole) as line from pg_roles
  union all select concat_ws(' ', 'member', roleid::regrole, member::regrole) from pg_auth_members
  union all select concat_ws(' ', 'schema', nspname, coalesce(nspacl::text, '')) from pg_namespace where nspname !~ '^pg_(toast|temp)'
  union all select concat_ws(' ', 'classes', count(*), sum(xmin::text::bigint)) from pg_class where oid < 16384 and relnamespace in (select oid from builtin)
  union all select concat_ws(' ', 'functions', count(*), sum(xmin::text::bigint)) from pg_proc where oid < 16384 and pronamespace in (select oid from builtin)
  union all select concat_ws(' ', 'types', count(*), sum(xmin::text::bigint)) from pg_type where oid < 16384 and typnamespace in (select oid from builtin)
  union all select concat_ws(' ', 'class', oid::regclass, relkind, coalesce(relacl::text, '')) from pg_class where (oid >= 16384 or relnamespace not in (select oid from builtin)) and relnamespace not in (select oid from own)
  union all select concat_ws(' ', 'function', oid::regprocedure, md5(coalesce(prosrc, '')), coalesce(proacl::text, '')) from pg_proc where (oid >= 16384 or pronamespace not in (select oid from builtin)) and pronamespace not in (select oid from own)
  union all select concat_ws(' ', 'type', oid::regtype) from pg_type where (oid >= 16384 or typnamespace not in (select oid from builtin)) and typnamespace not in (select oid from own)
  union all select concat_ws(' ', 'rows', count(*)) from auth.users
  union all select concat_ws(' ', 'extension', extname) from pg_extension
  union all select concat_ws(' ', 'trigger', evtname) from pg_event_trigger
  union all select concat_ws(' ', 'setting', setdatabase, setrole, setconfig::text) from pg_db_role_setting
  union all select concat_ws(' ', 'default', defaclrole::regrole, coalesce(defaclacl::text, '')) from pg_default_acl
  union all select concat_ws(' ', 'large', oid) from pg_largeobject_metadata
  union all select concat_ws(' ', 'publication', pubname) from pg_publication
  union all select concat_ws(' ', 'database', datname) from pg_database
) lines`;
const INSIDE = `
select md5(string_agg(line, E'\\n' order by line)) as digest from (
  select concat_ws(' ', 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, coalesce(pg_get_expr(adbin, adrelid), '')) as line
    from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attnum > 0 and not attisdropped and attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
  union all select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'public'::regnamespace
  union all select concat_ws(' ', 'index', indexname, indexdef) from pg_indexes where schemaname = 'public'
  union all select concat_ws(' ', 'policy', tablename, policyname, cmd, roles::text, coalesce(qual, ''), coalesce(with_check, '')) from pg_policies
  union all select concat_ws(' ', 'table', oid::regclass, relkind, relrowsecurity, coalesce(relacl::text, '')) from pg_class where relnamespace = 'public'::regnamespace
  union all select concat_ws(' ', 'function', oid::regprocedure, md5(coalesce(prosrc, ''))) from pg_proc where pronamespace = 'public'::regnamespace
  union all select concat_ws(' ', 'trigger', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
) lines`;
const TABLES = `
select c.oid::int, c.relname as name, c.relrowsecurity as rls,
  (select count(*)::int from pg_policies p where p.schemaname = 'public' and p.tablename = c.relname) as policies,
  (select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, null), 'kind', t.typtype, 'required', attnotnull and not atthasdef and attidentity = '',
      'generated', attgenerated <> '' or attidentity = 'a', 'value', pg_get_expr(adbin, adrelid),
      'label', (select enumlabel from pg_enum e where e.enumtypid = t.oid order by enumsortorder limit 1),
      'check', (select string_agg(pg_get_constraintdef(k.oid), ' ') from pg_constraint k where k.conrelid = c.oid and k.contype = 'c' and a.attnum = any(k.conkey))) order by attnum)
    from pg_attribute a join pg_type t on t.oid = atttypid left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attrelid = c.oid and attnum > 0 and not attisdropped) as columns
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by c.relname`;

const db = await PGlite.create();
await db.exec(PLATFORM);
const publicAcl = (await db.query(`select nspacl::text as acl from pg_namespace where nspname = 'public'`)).rows[0].acl;
const baseline = await digest(OUTSIDE);

async function digest(sql) { return (await db.query(sql)).rows[0].digest; }
const quoted = name => '"' + name.replaceAll('"', '""') + '"';
const literal = text => "E'" + String(text).replaceAll('\\', '\\\\').replaceAll("'", "''") + "'"; // whatever a migration set for plain ones

async function run(migrations, repeat) {
  for (const { name, sql } of migrations) {
    try { await db.exec(sql); }
    catch (error) {
      await db.exec('rollback').catch(() => {});
      return { name, repeat, message: String(error.message).slice(0, 500), code: error.code ?? '', position: Number(error.position) || 0 };
    }
  }
  return null;
}

// A value that a column takes; its checks are read for the words they allow.
function sample(column) {
  if (column.label) return literal(column.label);
  const allowed = /'((?:[^']|'')*)'::/.exec(/ANY|=/.test(column.check ?? '') ? column.check : '');
  if (allowed && /^(text|character)/.test(column.type)) return `'${allowed[1]}'`;
  if (/^(text|character|name|citext)/.test(column.type)) return `'a@b.example'`;
  if (/^(smallint|integer|bigint|numeric|real|double)/.test(column.type)) return '1';
  if (column.type === 'boolean') return 'true';
  if (column.type === 'uuid') return 'gen_random_uuid()';
  if (/^(date|timestamp|time)/.test(column.type)) return 'now()';
  if (/^json/.test(column.type)) return `'{}'`;
  if (/\[\]$/.test(column.type)) return `'{}'`;
  return 'null';
}

// One attempt after another, each undone: by its key the number that it gives, 'refused', or 'failed: why'. In one block, since a question to the
// database costs more than what is asked here. Names are qualified: a migration may have made functions of the same.
function attempts(tried) {
  const note = (key, value) => `got := got operator(pg_catalog.||) pg_catalog.jsonb_build_object(${literal(key)}, ${value});`;
  const claim = (name, value) => `perform pg_catalog.set_config('${name}', ${literal(value)}, true);`;
  const body = tried.map(([key, role, sub, sql]) => `
    begin n := null; ${claim('request.jwt.claims', JSON.stringify(sub ? { sub, role } : {}))} ${claim('request.jwt.claim.sub', sub ?? '')}
      set local role ${role}; execute ${literal(sql)} into n; raise sqlstate 'MR001';
    exception when sqlstate 'MR001' then ${note(key, 'coalesce(n, 0)')}
      when insufficient_privilege then ${note(key, "'refused'::pg_catalog.text")}
      when others then ${note(key, "'failed: ' operator(pg_catalog.||) pg_catalog.left(sqlerrm, 200)")} end;`).join('');
  return `do ${literal(`declare n pg_catalog.int4; got pg_catalog.jsonb := '{}'; begin ${body} perform pg_catalog.set_config('millrace.got', got::pg_catalog.text, true); end`)}`;
}

// Alice's row is put there past all policies; then Bob and a stranger try to get at it, and all of it is undone.
async function isolation(table) {
  const owner = table.columns.find(c => /auth\.(uid|jwt)\(/.test(c.value ?? '')) ?? table.columns.find(c => /^(owner|user|tenant|account|author)(_id)?$|^created_by$/.test(c.name));
  if (!owner) return { owner: null, tested: false, why: 'no column says whose row it is', leaks: [] };
  const given = table.columns.filter(c => c !== owner && c.required && !c.generated);
  const names = [owner, ...given].map(c => quoted(c.name)).join(', '), values = [literal(ALICE), ...given.map(sample)].join(', ');
  const name = `public.${quoted(table.name)}`, insert = `insert into ${name} (${names}) values (${values})`;
  const count = `select pg_catalog.count(*)::pg_catalog.int4 as n from ${name}`, changed = sql => `with done as (${sql} returning 1) select pg_catalog.count(*)::pg_catalog.int4 as n from done`;
  const deeds = [['reads', count], ['changes', changed(`update ${name} set ${quoted(owner.name)} = ${quoted(owner.name)}`)], ['deletes', changed(`delete from ${name}`)],
    ['writes in the name of', changed(insert)]];
  const strangers = [['another user', 'authenticated', BOB], ['a visitor', 'anon', null]];
  const tried = strangers.flatMap(([who, role, sub]) => deeds.map(([what, sql]) => [`${who} ${what} a user's row`, role, sub, sql]));
  await db.exec('savepoint isolation');
  try {
    await db.exec(`set local session_replication_role = replica; ${insert}; set local session_replication_role = origin; ${attempts([['own', 'authenticated', ALICE, count], ...tried])}`);
    const { own, ...got } = JSON.parse((await db.query(`select pg_catalog.current_setting('millrace.got') as got`)).rows[0].got);
    const leaks = tried.map(([key]) => key).filter(key => typeof got[key] === 'number' && got[key] > 0);
    return { owner: owner.name, tested: own === 1, why: own === 1 ? '' : `the owner does not see the row: ${own}`, leaks };
  } catch (error) { return { owner: owner.name, tested: false, why: String(error.message).slice(0, 200), leaks: [] }; }
  finally { await db.exec('rollback to savepoint isolation; release savepoint isolation'); }
}

// Back to what was there before; by name, so that nothing of one artifact is there for the next.
async function reset() {
  await db.exec('rollback').catch(() => {});
  await db.exec("discard all");
  const { rows } = await db.query(`select 'schema ' || quote_ident(nspname) as what from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'auth', 'extensions')`);
  for (const { what } of rows) await db.exec(`drop ${what} cascade`);
  const { rows: roles } = await db.query(`select quote_ident(rolname) as role from pg_roles where rolname !~ '^pg_' and rolname not in ('postgres', 'anon', 'authenticated', 'service_role')`);
  for (const { role } of roles) await db.exec(`drop owned by ${role} cascade; drop role ${role}`);
  await db.exec(`create schema public; grant usage on schema public to public, anon, authenticated, service_role; alter schema public owner to pg_database_owner; comment on schema public is 'standard public schema'; truncate auth.users cascade`);
  const acl = (await db.query(`select nspacl::text as acl from pg_namespace where nspname = 'public'`)).rows[0].acl;
  return acl === publicAcl && await digest(OUTSIDE) === baseline;
}

// What migrations do in one transaction that they would not do in one each.
const BOUND = /\blocal\b|\bon\s+commit\b/i;

async function look(migrations) {
  const result = { failed: await run(migrations, false), changed: false, tables: [], clean: false };
  if (!result.failed) {
    const again = migrations.filter(m => m.repeatable);
    if (again.length) {
      const before = await digest(INSIDE);
      result.failed = await run(again, true);
      result.changed = !result.failed && await digest(INSIDE) !== before;
    }
  }
  return result;
}

async function tables() {
  const found = [];
  await db.exec('set local search_path = public, extensions'); // as the platform's API does; no name of the database's own is hidden then
  for (const table of (await db.query(TABLES)).rows.slice(0, 200)) {
    const { name, rls, policies, columns } = table;
    const { owner, ...isolated } = rls ? await isolation(table) : { owner: null, tested: false, why: 'no row level security', leaks: [] };
    found.push({ name, rls, policies, owner, columns: columns.map(c => c.name), isolation: isolated });
  }
  return found;
}

// All of it in one transaction that is rolled back: nothing is left, and nothing need be taken away or looked for. Null where that says too little: where
// something failed, which might be for the transaction's sake, or the transaction was ended from within.
async function inOneTransaction(migrations) {
  if (migrations.some(({ sql }) => BOUND.test(sql))) return null;
  const transaction = async () => String((await db.query('select pg_catalog.pg_current_xact_id() as id')).rows[0].id);
  try {
    await db.exec('begin');
    const begun = await transaction();
    const result = await look(migrations);
    if (result.failed) return null;
    await db.exec('set constraints all immediate');
    result.tables = await tables();
    if (await transaction() !== begun) return null;
    await db.exec('rollback');
    await db.exec('discard all');
    const ended = (await db.query('select pg_catalog.pg_xact_status($1) as how', [begun])).rows[0].how;
    return ended === 'aborted' ? { ...result, clean: true } : null;
  } catch { return null; }
}

async function oneByOne(migrations) {
  const result = await look(migrations);
  if (!result.failed) {
    await db.exec('begin');
    try { result.tables = await tables(); } finally { await db.exec('rollback'); }
  }
  try { result.clean = await reset(); } catch { result.clean = false; }
  return result;
}

async function job({ migrations, afresh }) {
  const result = afresh ? null : await inOneTransaction(migrations);
  if (result) return result;
  let back = false;
  try { back = await reset(); } catch { /* it does not come back to its beginning */ }
  return back ? oneByOne(migrations) : { again: true };
}

if (!await reset()) throw new Error('the empty database does not come back to its beginning');
process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) process.stdout.write(JSON.stringify(await job(JSON.parse(line))) + '\n');
