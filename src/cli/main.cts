#!/usr/bin/env node
// CommonJS, since libuv sizes its thread pool when that is first used, and Node 20 loads an
// ES module by way of the pool: in one, this line would come too late. A local disk is read
// and written by these threads, so 4 of them, the default, would bound its queue depth.
process.env.UV_THREADPOOL_SIZE ??= '16';

// The QUIC engine's allocator (jemalloc) keeps what is freed for 5 s in 4 arenas, unless told
// otherwise before it is loaded: after a large copy that is 100 MB of nothing.
process.env._RJEM_MALLOC_CONF ??= 'narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0';

// A name server that is away would otherwise hold up a redial, and even the end of the process,
// for 10 s or more.
process.env.RES_OPTIONS ??= 'timeout:1 attempts:2';

void import('./program.js')
  .then(({ run }) => run(process.argv))
  .then((exitCode) => process.exit(exitCode));
