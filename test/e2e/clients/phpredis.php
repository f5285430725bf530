<?php
// SPDX-License-Identifier: Apache-2.0
// What an application does with php-redis: php phpredis.php PORT SOCKET

set_error_handler(function (int $level, string $text, string $file, int $line) {
    throw new ErrorException($text, 0, $level, $file, $line);
});

function expect(mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        throw new Exception(var_export($got, true) . ' instead of ' . var_export($wanted, true));
    }
}

function connect(): Redis
{
    global $argv;
    $redis = new Redis();
    expect($redis->connect('127.0.0.1', (int) $argv[1], 60), true);
    $redis->setOption(Redis::OPT_READ_TIMEOUT, 60);
    return $redis;
}

function strings(Redis $redis): void
{
    expect($redis->ping(), true);
    expect($redis->echo('hello'), 'hello');
    expect($redis->set('k', 'v'), true);
    expect($redis->get('k'), 'v');
    expect($redis->get('nothing'), false);
    expect($redis->set('k', 'w', ['nx', 'ex' => 10]), false);
    expect($redis->set('k', 'w', ['xx', 'px' => 100000]), true);
    expect($redis->setex('e', 100, 'v'), true);
    expect($redis->setnx('k', 'x'), false);
    expect($redis->getSet('k', 'y'), 'w');
    expect($redis->append('k', 'z'), 2);
    expect($redis->strlen('k'), 2);
    expect($redis->setRange('k', 4, '!'), 5);
    expect($redis->getRange('k', 0, 1), 'yz');
    expect($redis->mset(['a' => '1', 'b' => '2']), true);
    expect($redis->mget(['a', 'b', 'nothing']), ['1', '2', false]);
    expect($redis->msetnx(['b' => '3', 'c' => '4']), false);
    expect($redis->incr('n'), 1);
    expect($redis->incrBy('n', 41), 42);
    expect($redis->decrBy('n', 2), 40);
    expect($redis->incrByFloat('f', 1.5), 1.5);
    expect($redis->setBit('bits', 7, true), 0);
    expect($redis->bitCount('bits'), 1);
    expect($redis->pfAdd('hll', ['x', 'y', 'z']), 1);
    expect($redis->pfCount('hll'), 3);
    $bytes = implode('', array_map('chr', range(0, 255)));
    expect($redis->set($bytes, $bytes), true);
    expect($redis->get($bytes), $bytes);
    $large = str_repeat("\r\n", 5 << 20);
    expect($redis->set('large', $large), true);
    expect($redis->get('large') === $large, true);
    expect($redis->incr('k'), false);
    expect(str_starts_with($redis->getLastError(), 'ERR value is not an integer'), true);
    $redis->clearLastError();
}

function keys(Redis $redis): void
{
    $redis->set('t', 'v');
    expect($redis->expire('t', 100), true);
    expect($redis->ttl('t') > 90, true);
    expect($redis->persist('t'), true);
    expect($redis->ttl('t'), -1);
    expect($redis->expireAt('t', 4102444800), true);
    expect($redis->pttl('t') > 0, true);
    expect($redis->rename('t', 'u'), true);
    expect($redis->exists('t', 'u'), 1);
    expect($redis->type('u'), Redis::REDIS_STRING);
    expect($redis->object('encoding', 'n'), 'int');
    expect($redis->move('u', 1), true);
    expect($redis->select(1), true);
    expect($redis->keys('*'), ['u']);
    expect($redis->unlink('u'), 1);
    expect($redis->select(0), true);
    $payload = $redis->dump('a');
    expect($redis->restore('copy', 0, $payload), true);
    expect($redis->get('copy'), '1');
    expect($redis->del('copy', 'nothing'), 1);
}

// What the extension makes of values before they leave, and of replies.
function serialized(Redis $redis): void
{
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
    $redis->setOption(Redis::OPT_PREFIX, 'app:');
    $value = ['name' => 'x', 'list' => [1, 2.5, null, true]];
    expect($redis->set('session', $value), true);
    expect($redis->get('session'), $value);
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);
    $redis->setOption(Redis::OPT_PREFIX, '');
    expect($redis->get('app:session'), serialize($value));
}

function pipeline(Redis $redis): void
{
    $pipe = $redis->multi(Redis::PIPELINE);
    for ($i = 0; $i < 5000; $i++) {
        $pipe->set("p:$i", (string) $i);
    }
    for ($i = 0; $i < 5000; $i++) {
        $pipe->get("p:$i");
    }
    $replies = $pipe->exec();
    expect(array_slice($replies, 0, 5000), array_fill(0, 5000, true));
    expect(array_slice($replies, 5000), array_map('strval', range(0, 4999)));
}

function transactions(Redis $redis): void
{
    expect($redis->multi()->set('a', '1')->incr('k')->incr('a')->exec(), [true, false, 2]);
    $redis->clearLastError();
    $redis->watch('a');
    expect(connect()->set('a', 'changed'), true);
    expect($redis->multi()->set('a', 'lost')->exec(), false);
    expect($redis->get('a'), 'changed');
    $redis->watch('a');
    expect($redis->multi()->set('a', 'kept')->get('a')->exec(), [true, 'kept']);
    $redis->multi()->set('a', 'discarded');
    expect($redis->discard(), true);
}

function walks(Redis $redis): void
{
    $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $found = [];
    $cursor = null;
    while ($keys = $redis->scan($cursor, 'p:*', 500)) {
        $found = array_merge($found, $keys);
    }
    expect(count(array_unique($found)), 5000);
}

function messages(Redis $redis): void
{
    $count = 100;
    $got = [];
    $subscriber = connect();
    $listen = function (Redis $me, string ...$message) use ($redis, $count, &$got) {
        $got[] = end($message);
        if (count($got) === $count) {
            $me->close();
        }
    };
    $sender = start_sender($count);
    try {
        $subscriber->subscribe(['c'], $listen);
    } catch (RedisException) {
        // closed by $listen
    }
    expect($got, array_map(fn ($i) => "m$i", range(0, $count - 1)));
    expect(proc_close($sender), 0);
}

// Another process, which publishes as soon as there is somebody to hear it.
function start_sender(int $count): mixed
{
    global $argv;
    $code = sprintf(
        '$r = new Redis(); $r->connect("127.0.0.1", %d, 60);
         while ($r->pubsub("numsub", ["c"])["c"] == 0) usleep(1000);
         for ($i = 0; $i < %d; $i++) $r->publish("c", "m$i");',
        $argv[1],
        $count
    );
    return proc_open([PHP_BINARY, '-r', $code], [], $pipes);
}

function server(Redis $redis): void
{
    expect((int) $redis->info('server')['tcp_port'], (int) $GLOBALS['argv'][1]);
    expect($redis->dbSize() > 5000, true);
    expect($redis->config('GET', 'timeout'), ['timeout' => '0']);
    expect($redis->client('setname', 'tested'), true);
    expect($redis->client('getname'), 'tested');
    $names = array_column($redis->client('list'), 'name');
    expect(in_array('tested', $names), true);
    expect($redis->rawCommand('COPY', 'a', 'b2'), 1);
    expect(count($redis->time()), 2);
    expect($redis->wait(0, 100), 0);
}

// Through the socket; and a connection that has been killed comes back by itself.
function again(Redis $redis): void
{
    global $argv;
    $other = new Redis();
    expect($other->connect($argv[2]), true);
    expect($other->rawCommand('CLIENT', 'KILL', 'TYPE', 'normal') >= 1, true);
    expect($redis->get('a'), 'kept');
    expect($other->get('a'), 'kept');
}

$redis = connect();
foreach (['strings', 'keys', 'serialized', 'pipeline', 'transactions', 'walks', 'messages',
    'server', 'again'] as $step) {
    $step($redis);
}
expect($redis->flushAll(), true);
$redis->close();
echo "all is well\n";
