#!/usr/bin/env node
// CommonJS, since libuv sizes its thread pool when that is first used, and Node 20 loads an
// ES module by way of the pool: in one, this line would come too late. A local disk is read
// and written by these threads, so 4 of them, the default, would bound its queue depth.
process.env.UV_THREADPOOL_SIZE ??= '16';

void import('./program.js')
  .then(({ run }) => run(process.argv))
  .then((exitCode) => process.exit(exitCode));
