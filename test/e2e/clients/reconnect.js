// SPDX-License-Identifier: Apache-2.0
// A server that goes away and comes back: node reconnect.js redis|ioredis SOCKET PROTOCOL
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');

const [name, path] = process.argv.slice(2);
const protocol = Number(process.argv[4]);

async function withNodeRedis() {
  const { createClient } = require('redis');
  const options = { socket: { path, reconnectStrategy: 10 }, RESP: protocol };
  const connect = () => createClient(options).on('error', () => {}).connect();
  const [client, subscriber] = [await connect(), await connect()];
  return {
    client,
    subscribe: (channel, listen) => subscriber.subscribe(channel, listen),
    listeners: async (channel) => (await client.pubSubNumSub([channel]))[channel],
    close: () => Promise.all([client.close(), subscriber.close()]),
  };
}

async function withIoredis() {
  const { Redis } = require('ioredis');
  const options = { path, protocol, retryStrategy: () => 10, maxRetriesPerRequest: null };
  const connect = () => new Redis(options).on('error', () => {});
  const [client, subscriber] = [connect(), connect()];
  return {
    client,
    subscribe: async (channel, listen) => {
      subscriber.on('message', (_, text) => listen(text));
      await subscriber.subscribe(channel);
    },
    listeners: async (channel) => (await client.pubsub('NUMSUB', channel))[1],
    close: () => Promise.all([client.quit(), subscriber.quit()]),
  };
}

async function main() {
  const used = await (name === 'redis' ? withNodeRedis() : withIoredis());
  const { client } = used;
  let hear;
  await used.subscribe('c', (text) => hear(text));
  assert.equal(await client.set('k', 'kept'), 'OK');
  console.log('restart it');
  await once(process.stdin, 'data');

  assert.equal(await client.get('k'), 'kept');
  const replies = await client.multi().set('a', '1').incr('a').exec();
  assert.equal(Number([replies.at(-1)].flat().at(-1)), 2);
  // The subscription comes back by itself.
  while (Number(await used.listeners('c')) === 0) await new Promise(setImmediate);
  const heard = new Promise((resolve) => (hear = resolve));
  assert.equal(await client.publish('c', 'again'), 1);
  assert.equal(await heard, 'again');
  await used.close();
  process.stdin.destroy();
  console.log('all is well');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
