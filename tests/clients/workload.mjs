// SPDX-License-Identifier: Apache-2.0
// What an application does through node's pg; prints what it saw, so that two runs can be compared.
//     node workload.mjs CONNECTION.json      {host, port, user, database, password, tls}
import { readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import pg from 'pg';
import copy from 'pg-copy-streams';
import Cursor from 'pg-cursor';

const to = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const say = (what, value) => console.log(`${what}: ${JSON.stringify(value)}`);
const config = { ...to, ssl: to.tls ? { rejectUnauthorized: false } : false, application_name: 'node workload' };
const db = new pg.Client(config);

async function fails(what, text, values) {
  try {
    const done = await db.query(text, values);
    say(what, done.rowCount);
  } catch (error) {
    say(what, [error.code, error.severity, error.message, error.position ?? null]);
  }
}

await db.connect();
say('one', (await db.query("SELECT 1 AS one, 'zwei' AS two, NULL AS nothing")).rows);
say('fields', (await db.query("SELECT 1::int8 AS big, 1.5::numeric AS n, now() IS NOT NULL AS b")).fields.map((f) => [f.name, f.dataTypeID]));
say('several', (await db.query('SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c')).map((r) => r.rows));
await db.query('CREATE TEMP TABLE w (id serial PRIMARY KEY, name text, doc jsonb, raw bytea)');
for (let i = 0; i < 5; i++) {
  say('inserted', (await db.query('INSERT INTO w (name, doc, raw) VALUES ($1, $2, $3) RETURNING id, name, doc, raw',
    [`名 ${i}`, { i, list: [1, 2, i] }, Buffer.from([0, 1, i])])).rows);
}
for (let i = 1; i < 6; i++) {
  say('named', (await db.query({ name: 'by-id', text: 'SELECT name, doc FROM w WHERE id = $1', values: [i] })).rows);
}
await fails('syntax', 'SELEC 1');
await fails('no table', 'SELECT * FROM nowhere_at_all WHERE a = $1', [1]);
await fails('unique', 'INSERT INTO w (id) VALUES ($1)', [1]);
await db.query('BEGIN');
await db.query("UPDATE w SET name = 'changed' WHERE id = 1");
await fails('division', 'SELECT 1/0');
await fails('aborted', 'SELECT 1');
await db.query('ROLLBACK');
say('rolled back', (await db.query('SELECT name FROM w WHERE id = 1')).rows);
const cursor = db.query(new Cursor('SELECT n FROM generate_series(1, 1000) n'));
let sum = 0;
for (let rows = await cursor.read(99); rows.length > 0; rows = await cursor.read(99)) {
  sum += rows.reduce((a, row) => a + row.n, 0);
}
await cursor.close();
say('cursor', sum);
await pipeline(Readable.from(['1001\tcopied\n', '1002\talso\n']), db.query(copy.from('COPY w (id, name) FROM STDIN')));
let out = '';
for await (const chunk of db.query(copy.to('COPY (SELECT id, name FROM w WHERE id > 1000 ORDER BY id) TO STDOUT'))) {
  out += chunk;
}
say('copied', out);
const heard = new Promise((resolve) => db.once('notification', (n) => resolve([n.channel, n.payload])));
await db.query('LISTEN bell');
await db.query("NOTIFY bell, 'ring'");
say('heard', await heard);
const all = await Promise.all([1, 2, 3, 4, 5].map((i) => db.query('SELECT $1::int * 2 AS twice', [i])));
say('queued', all.map((r) => r.rows[0].twice));
await db.end();
const pool = new pg.Pool({ ...config, max: 4 });
const sums = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query('SELECT sum(n)::int AS s FROM generate_series(1, $1) n', [i])));
say('pool', sums.map((r) => r.rows[0].s));
await pool.end();
