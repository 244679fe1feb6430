import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { configOptionOf } from '../../src/cli/config-schema.js';
import { UsageError } from '../../src/cli/exit.js';
import { createProgram } from '../../src/cli/program.js';
import { CONFIG_FILE_BYTES_MAX } from '../../src/limits.js';
import { temporaryFolder } from './command.js';

interface Parsed {
  readonly operands: unknown;
  readonly options: Record<string, unknown>;
  readonly folder: string;
}

/** What a command would run with, given this file and these words. */
async function parse(
  t: TestContext,
  name: 'export' | 'connect',
  text: string | Buffer,
  words: readonly string[] = [],
): Promise<Parsed> {
  const folder = temporaryFolder(t);
  const path = join(folder, 'a.yaml');
  writeFileSync(path, text);
  const program = createProgram();
  const command = program.commands.find((each) => each.name() === name);
  assert.ok(command);
  let operands: unknown;
  command.action((first: unknown) => {
    operands = first;
  });
  await program.parseAsync([name, ...words, '--config', path], { from: 'user' });
  return { operands, options: command.optsWithGlobals(), folder };
}

/** How a file is refused: the message from the line on. */
async function refusal(
  t: TestContext,
  name: 'export' | 'connect',
  text: string | Buffer,
): Promise<string> {
  try {
    await parse(t, name, text);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, 'DST_E_CONFIG');
    return error.message.replace(/^.*a\.yaml(:|(?= ))/, '');
  }
  assert.fail('it was taken');
}

describe('a configuration file', () => {
  test('does what options do', async (t) => {
    const { options } = await parse(
      t,
      'connect',
      'address: h/x\ncert: /ca.pem\nmax-resends: inf\nping-interval: 500ms\nread-only: true\n',
    );
    const { cert, maxResends, pingInterval, readOnly } = options;
    assert.deepEqual(
      { cert, maxResends, pingInterval, readOnly },
      { cert: '/ca.pem', maxResends: Number.POSITIVE_INFINITY, pingInterval: 500, readOnly: true },
    );
  });

  test('gives the arguments', async (t) => {
    const { operands } = await parse(t, 'connect', 'address: h:1/x\ncert: ca.pem\n');
    assert.equal(operands, 'h:1/x');
  });

  test('has lists where an option may be given several times', async (t) => {
    const { options } = await parse(
      t,
      'export',
      'stores: [m=memory:1M]\nallow:\n  - 10.0.0.0/8\n  - 192.0.2.7=ro\n',
    );
    assert.equal((options.allow as unknown[]).length, 2);
  });

  test('takes one value for a list of one', async (t) => {
    const { options, operands } = await parse(t, 'export', 'stores: memory:1M\nallow: 10.0.0.1\n');
    assert.equal((options.allow as unknown[]).length, 1);
    assert.deepEqual(operands, ['memory:1M']);
  });

  test('keeps the digits of numbers as they are written', async (t) => {
    const { options } = await parse(t, 'export', 'stores: memory:1M\nname: 010\n');
    assert.equal(options.name, '010');
  });

  test('may say that a switch is off', async (t) => {
    const { options } = await parse(t, 'export', 'stores: memory:1M\nshared: false\n');
    assert.equal(options.shared, undefined);
  });

  test('has the options that begin with "no" by their names', async (t) => {
    const { options } = await parse(t, 'export', 'stores: memory:1M\nno-webtransport: true\n');
    assert.equal(options.webtransport, false);
  });

  test('has the options of every command, too', async (t) => {
    const { options } = await parse(t, 'export', 'stores: memory:1M\nlog-level: warn\n');
    assert.equal(options.logLevel, 'warn');
  });

  test('has paths that begin at its folder', async (t) => {
    const text = 'stores: [root=a.img, sub/b=c.img, m=memory:1M, /d]\ncert: certs/s.pem\n';
    const { options, operands, folder } = await parse(t, 'export', text);
    assert.equal(options.cert, join(folder, 'certs/s.pem'));
    assert.deepEqual(operands, [
      `root=${folder}/a.img`,
      `${folder}/sub/b=c.img`,
      'm=memory:1M',
      '/d',
    ]);
  });

  test('may be empty', async (t) => {
    const { options } = await parse(t, 'connect', '# nothing\n', ['h/x', '--cert', 'ca.pem']);
    assert.equal(options.cert, 'ca.pem');
  });
});

describe('the command line', () => {
  const FILE = 'address: h/x\ncert: ca.pem\nsocket: /s.sock\nlog-level: warn\n';

  test('counts instead of the file', async (t) => {
    const words = ['--cert', 'other.pem', '--log-level', 'error'];
    const { options } = await parse(t, 'connect', FILE, words);
    assert.equal(options.cert, 'other.pem');
    assert.equal(options.logLevel, 'error');
    assert.equal(options.socket, '/s.sock');
  });

  test('counts instead of what it cannot be used with', async (t) => {
    const { options } = await parse(t, 'connect', FILE, ['--listen', '127.0.0.1:1']);
    assert.equal(options.socket, undefined);
  });

  test('counts so for whichever of the two names the other', async (t) => {
    const text = 'address: h/x\ncert: ca.pem\nlisten: 127.0.0.1:1\n';
    const { options } = await parse(t, 'connect', text, ['--socket', 's.sock']);
    assert.equal(options.listen, undefined);
  });

  for (const [where, words] of [
    ['before the options', ['h/y', '--read-only']],
    ['behind the options', ['--read-only', 'h/y']],
    ['behind --', ['--read-only', '--', 'h/y']],
  ] as const) {
    test(`gives an argument ${where}`, async (t) => {
      const program = createProgram();
      const folder = temporaryFolder(t);
      writeFileSync(join(folder, 'a.yaml'), FILE);
      let operand: unknown;
      program.commands
        .find((each) => each.name() === 'connect')
        ?.action((first: unknown) => {
          operand = first;
        });
      const config = ['--config', join(folder, 'a.yaml')];
      await program.parseAsync(['connect', ...config, ...words], { from: 'user' });
      assert.equal(operand, 'h/y');
    });
  }

  test('gives a whole list', async (t) => {
    const { options, operands } = await parse(
      t,
      'export',
      'stores: [memory:1M]\nallow: [10.0.0.1, 10.0.0.2]\n',
      ['x=memory:2M', '--allow', '10.0.0.3'],
    );
    assert.equal((options.allow as unknown[]).length, 1);
    assert.deepEqual(operands, ['x=memory:2M']);
  });

  test('must give what the file leaves open', async (t) => {
    const option = /required option '--cert <file>' not specified; it is not in \S+a\.yaml either/;
    await assert.rejects(parse(t, 'connect', 'address: h/x\n'), option);
    const argument = /missing required argument 'address'; it is not in \S+a\.yaml either/;
    await assert.rejects(parse(t, 'connect', 'cert: c\n'), argument);
  });
});

test('a key that asks for help prints none', async (t) => {
  const printed = t.mock.method(process.stdout, 'write', () => true);
  await refusal(t, 'connect', 'help: true\n').finally(() => printed.mock.restore());
  assert.deepEqual(
    printed.mock.calls.map((call) => `${call.arguments[0]}`).filter((text) => /usage/i.test(text)),
    [],
  );
});

test('what a file may give is not shown as required', () => {
  for (const command of createProgram().commands) {
    if (configOptionOf(command) === undefined) continue;
    assert.doesNotMatch(command.createHelp().commandUsage(command), /</);
  }
});

const REFUSED: readonly (readonly [string, 'export' | 'connect', string, string])[] = [
  [
    'a key that is not known',
    'export',
    'shared: true\nlisen: x\n',
    '2: "lisen" is no setting of dst-quic export: did you mean "listen"?',
  ],
  [
    'a key that is like no other',
    'connect',
    'qqqqqq: 1\n',
    '1: "qqqqqq" is no setting of dst-quic connect: dst-quic connect --help lists them',
  ],
  [
    'the option of another command',
    'connect',
    'lease: 60s\n',
    '1: "lease" is no setting of dst-quic connect: dst-quic connect --help lists them',
  ],
  [
    'a secret',
    'connect',
    'secret: abc\n',
    '1: "secret" is no setting of dst-quic connect: did you mean "secret-file"?',
  ],
  [
    'another file',
    'connect',
    'config: b.yaml\n',
    '1: "config" is no setting of dst-quic connect: dst-quic connect --help lists them',
  ],
  [
    'a value that will not do',
    'export',
    '\nlease: 30\n',
    '2: --lease "30" has no unit: write 30s if you mean seconds',
  ],
  [
    'a value in a list',
    'export',
    'allow:\n  - 10.0.0.1\n  - 10.0.0.1/99\n',
    '3: --allow 10.0.0.1/99: /99 is out of range for 10.0.0.1: give up to /32',
  ],
  [
    'a choice that there is not',
    'export',
    'log-level: loud\n',
    '1: "log-level" cannot be "loud": Allowed choices are debug, info, warn, error, silent',
  ],
  [
    'an argument that will not do',
    'connect',
    'cert: c\naddress: h\n',
    '2: "h" lacks the export\'s name: write HOST:PORT/NAME ("dst-quic list" shows the names)',
  ],
  [
    'a store that will not do',
    'export',
    'stores:\n  - memory:1M\n  - x=\n',
    '3: "x=" has no file: write NAME=FILE or FILE',
  ],
  [
    'options that exclude each other',
    'connect',
    'address: h/x\ncert: c\nsocket: s\nlisten: 127.0.0.1:1\n',
    '4: "listen" cannot be used with "socket" (line 3)',
  ],
  [
    'a path that is empty',
    'connect',
    "address: h/x\nsocket: ''\n",
    '2: "socket" is empty: name a file, or leave the line out',
  ],
  ['a list for one value', 'export', 'name: [a, b]\n', '1: "name" takes one value, and not a list'],
  [
    'a map for a value',
    'export',
    'allow:\n  a: b\n',
    '2: "allow" takes one value, or a list of them, and not a map or list',
  ],
  [
    'a word for a switch',
    'export',
    'shared: "true"\n',
    '1: "shared" is a switch: write true or false',
  ],
  [
    'a switch for a value',
    'export',
    'name: true\n',
    '1: "name" takes a value, and not true: put it in quotes if you mean the word',
  ],
  [
    'no value',
    'export',
    'shared: true\nname:\n',
    '2: "name" has no value: give one, or leave the line out',
  ],
  [
    'a key that is there twice',
    'export',
    'name: a\nshared: true\nname: b\n',
    '3: this key is there twice: give it once, as a list if need be',
  ],
  [
    'an alias',
    'export',
    'name: &a x\ncert: *a\n',
    '2: "cert" takes one value, or a list of them, and not an alias',
  ],
  ['a tag', 'export', 'name: !secret x\n', '1: this is not valid YAML: Unresolved tag: !secret'],
  [
    'two documents',
    'export',
    'name: a\n---\nname: b\n',
    '2: a second document begins here: write all in one',
  ],
  ['what is no map', 'export', '- a\n- b\n', '1: write settings as "key: value" here'],
  [
    'what is no YAML',
    'export',
    'name: a\n\tcert: b\n',
    '2: this is not valid YAML: Tabs are not allowed as indentation',
  ],
  [
    'what is nested without end',
    'export',
    '['.repeat(10_000),
    '1: this is not valid YAML: Maximum call stack size exceeded',
  ],
];

describe('a configuration file is refused, with the line, for', { concurrency: true }, () => {
  for (const [what, name, text, expected] of REFUSED) {
    test(what, async (t) => assert.equal(await refusal(t, name, text), expected));
  }

  test('its size', async (t) => {
    const text = '#'.repeat(CONFIG_FILE_BYTES_MAX + 1);
    assert.match(await refusal(t, 'export', text), /is too large \(more than 65536 bytes\)/);
  });

  test('its encoding', async (t) => {
    const text = Buffer.from([0x61, 0x3a, 0x20, 0xff]);
    assert.match(await refusal(t, 'export', text), /is not text in UTF-8/);
  });

  test('not being there', async () => {
    const program = createProgram();
    await assert.rejects(
      program.parseAsync(['export', '--config', '/no/such.yaml'], { from: 'user' }),
      {
        code: 'DST_E_CONFIG',
        message:
          'the configuration file /no/such.yaml cannot be read (ENOENT): check the path and its permissions',
      },
    );
  });
});
