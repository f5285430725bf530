// SPDX-License-Identifier: Apache-2.0
// What an application does with ioredis: node ioredis.js PORT PROTOCOL
'use strict';

const assert = require('node:assert/strict');
const { Redis } = require('ioredis');

const [port, protocol] = process.argv.slice(2).map(Number);

function connect() {
  const client = new Redis({ port, host: '127.0.0.1', protocol, retryStrategy: () => null });
  client.on('error', () => {});
  return client;
}

async function strings(client) {
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('k', 'v'), 'OK');
  assert.equal(await client.get('k'), 'v');
  assert.equal(await client.get('nothing'), null);
  assert.equal(await client.incrby('n', 42), 42);
  assert.deepEqual(await client.mget('k', 'n', 'nothing'), ['v', '42', null]);
  const bytes = Buffer.from([0, 13, 10, 255]);
  await client.set(bytes, bytes);
  assert.deepEqual(await client.getBuffer(bytes), bytes);
  await assert.rejects(client.incr('k'), /value is not an integer/);
}

async function pipeline(client) {
  const pipe = client.pipeline();
  for (let i = 0; i < 5000; i++) pipe.set(`p:${i}`, i);
  for (let i = 0; i < 5000; i++) pipe.get(`p:${i}`);
  const replies = await pipe.exec();
  replies.forEach(([error, reply], i) => {
    assert.equal(error, null);
    assert.equal(reply, i < 5000 ? 'OK' : `${i - 5000}`);
  });
}

async function transactions(client) {
  const replies = await client.multi().set('a', 1).incr('k').incr('a').exec();
  assert.equal(replies[0][1], 'OK');
  assert.match(replies[1][0].message, /value is not an integer/);
  assert.deepEqual(replies[2], [null, 2]);
  const other = connect();
  await client.watch('a');
  await other.set('a', 'changed');
  assert.equal(await client.multi().set('a', 'lost').exec(), null);
  assert.equal(await client.get('a'), 'changed');
  await other.quit();
}

async function walks(client) {
  const found = new Set();
  for await (const keys of client.scanStream({ match: 'p:*', count: 500 })) {
    for (const key of keys) found.add(key);
  }
  assert.equal(found.size, 5000);
}

async function messages(client) {
  const subscriber = connect();
  const got = [];
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const note = (...args) => {
    if (got.push(args.map(String)) === 102) done();
  };
  subscriber.on('message', note);
  subscriber.on('pmessage', note);
  subscriber.on('smessage', note);
  assert.equal(await subscriber.subscribe('c', 'd'), 2);
  assert.equal(await subscriber.psubscribe('news.*'), 3);
  assert.equal(await subscriber.ssubscribe('shard'), 1);
  const pipe = client.pipeline();
  for (let i = 0; i < 100; i++) pipe.publish('c', `m${i}`);
  pipe.publish('news.today', 'rain').spublish('shard', 'here');
  assert.ok((await pipe.exec()).every(([error, heard]) => error === null && heard === 1));
  await all;
  const wanted = Array.from({ length: 100 }, (_, i) => ['c', `m${i}`]);
  assert.deepEqual(got, [...wanted, ['news.*', 'news.today', 'rain'], ['shard', 'here']]);
  await subscriber.unsubscribe('c');
  assert.equal(await client.publish('c', 'unheard'), 0);
  await subscriber.quit();
}

// Tracking by another connection, which ioredis can hear in RESP2: as a message.
async function copies(client) {
  if (protocol !== 2) return;
  const listener = connect();
  const told = new Promise((resolve) => {
    listener.on('message', (channel, keys) => resolve([channel, [keys].flat()]));
  });
  const id = await listener.client('ID');
  await listener.subscribe('__redis__:invalidate');
  const reader = connect();
  assert.equal(await reader.client('TRACKING', 'ON', 'REDIRECT', id), 'OK');
  await reader.get('k');
  await client.set('k', 'changed');
  assert.deepEqual(await told, ['__redis__:invalidate', ['k']]);
  await reader.quit();
  await listener.quit();
}

async function server(client) {
  assert.match(await client.info(), /redis_version:7\.2/);
  const mine = await client.client('INFO');
  assert.match(mine, new RegExp(`resp=${protocol} lib-name=ioredis`));
  assert.equal(await client.select(3), 'OK');
  assert.equal(await client.dbsize(), 0);
  assert.equal(await client.select(0), 'OK');
}

const steps = [strings, pipeline, transactions, walks, messages, copies, server];

async function main() {
  const client = connect();
  for (const step of steps) await step(client);
  await client.flushall();
  await client.quit();
  console.log('all is well');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
