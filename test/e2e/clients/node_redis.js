// SPDX-License-Identifier: Apache-2.0
// What an application does with node-redis: node node_redis.js PORT PROTOCOL
'use strict';

const assert = require('node:assert/strict');
const { BasicClientSideCache, createClient } = require('redis');

const [port, protocol] = process.argv.slice(2).map(Number);
const options = { socket: { port, host: '127.0.0.1', reconnectStrategy: false }, RESP: protocol };

async function connect(more) {
  const client = createClient({ ...options, ...more });
  client.on('error', () => {});
  return client.connect();
}

async function strings(client) {
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('k', 'v'), 'OK');
  assert.equal(await client.get('k'), 'v');
  assert.equal(await client.get('nothing'), null);
  assert.equal(await client.incrBy('n', 42), 42);
  assert.equal(Number(await client.incrByFloat('f', 1.25)), 1.25);
  assert.deepEqual(await client.mGet(['k', 'n', 'nothing']), ['v', '42', null]);
  await assert.rejects(client.incr('k'), /value is not an integer/);
  await assert.rejects(client.sendCommand(['NOSUCH']), /unknown command/);
}

async function times(client) {
  await client.set('t', 'v', { EX: 100 });
  assert.ok((await client.ttl('t')) > 90);
  assert.equal(Number(await client.persist('t')), 1);
  assert.equal(await client.pTTL('t'), -1);
}

// All of them leave in one turn of the event loop: a pipeline by itself.
async function pipeline(client) {
  const count = 5000;
  const sets = [];
  for (let i = 0; i < count; i++) sets.push(client.set(`p:${i}`, `${i}`));
  assert.ok((await Promise.all(sets)).every((reply) => reply === 'OK'));
  const values = await Promise.all(sets.map((_, i) => client.get(`p:${i}`)));
  values.forEach((value, i) => assert.equal(value, `${i}`));
}

async function transactions(client) {
  assert.deepEqual(await client.multi().set('a', '1').incr('a').get('a').exec(), ['OK', 2, '2']);
  const other = await connect();
  await client.watch('a');
  await other.set('a', 'changed');
  await assert.rejects(client.multi().set('a', 'lost').exec(), /watched/i);
  assert.equal(await client.get('a'), 'changed');
  await other.close();
}

async function walks(client) {
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: 'p:*', COUNT: 500 })) {
    for (const key of keys) found.add(key);
  }
  assert.equal(found.size, 5000);
}

// What `listen` is called with until it has been `count` times.
function heard(count) {
  const calls = [];
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const listen = (...args) => {
    if (calls.push(args) === count) done(calls);
  };
  return { listen, all };
}

async function messages(client) {
  const subscriber = await connect();
  const plain = heard(100);
  const patterns = heard(1);
  const sharded = heard(1);
  await subscriber.subscribe('c', plain.listen);
  await subscriber.pSubscribe('news.*', patterns.listen);
  await subscriber.sSubscribe('shard', sharded.listen);
  for (let i = 0; i < 100; i++) assert.equal(await client.publish('c', `m${i}`), 1);
  assert.equal(await client.publish('news.today', 'rain'), 1);
  assert.equal(await client.sPublish('shard', 'here'), 1);
  assert.deepEqual(
    (await plain.all).map(([text]) => text),
    Array.from({ length: 100 }, (_, i) => `m${i}`),
  );
  assert.deepEqual(await patterns.all, [['rain', 'news.today']]);
  assert.deepEqual(await sharded.all, [['here', 'shard']]);
  assert.equal(protocol === 3 ? await subscriber.ping() : 'PONG', 'PONG');
  await subscriber.unsubscribe('c');
  assert.equal(await client.publish('c', 'unheard'), 0);
  await subscriber.close();
}

// Its own client-side caching: what others change is asked for again.
async function copies(client) {
  if (protocol !== 3) return;
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU' });
  const reader = await connect({ clientSideCache: cache });
  await client.set('cached', 'old');
  for (let i = 0; i < 10; i++) assert.equal(await reader.get('cached'), 'old');
  assert.equal(cache.stats().missCount, 1);
  assert.equal(cache.stats().hitCount, 9);
  await client.set('cached', 'new');
  while ((await reader.get('cached')) !== 'new') await new Promise(setImmediate);
  assert.equal(cache.stats().missCount, 2);
  await reader.close();
}

async function server(client) {
  assert.match(await client.info('server'), /redis_version:7\.2/);
  assert.ok((await client.dbSize()) > 5000);
  const settings = await client.configGet('timeout');
  assert.equal(settings.timeout, '0');
  const mine = await client.clientInfo();
  assert.equal(mine.resp, protocol);
  assert.equal(mine.libName, 'node-redis');
  const hello = await client.sendCommand(['HELLO']);
  assert.equal(Array.isArray(hello) ? hello[5] : hello.proto, protocol);
}

const steps = [strings, times, pipeline, transactions, walks, messages, copies, server];

async function main() {
  const client = await connect({ name: 'tested' });
  for (const step of steps) await step(client);
  assert.equal(await client.clientGetName(), 'tested');
  await client.flushAll();
  await client.close();
  console.log('all is well');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
