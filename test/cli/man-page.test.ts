import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { manPage as manPageOf, pageName } from '../../src/cli/man-page.js';
import { createProgram } from '../../src/cli/program.js';
import { skipWithout } from '../support/tools.js';

const PROGRAM = createProgram();
const COMMANDS = [PROGRAM, ...PROGRAM.commands];
const skip = skipWithout('groff');

function manPage(command: Command): string {
  return manPageOf(command, new Date('2026-03-01T12:00:00Z'));
}

/** A page as a terminal shows it, on one line. */
function shown(page: string): { text: string; complaints: string } {
  const groff = spawnSync('groff', ['-man', '-ww', '-Tascii', '-P-c', '-P-b', '-P-u'], {
    input: page,
    encoding: 'utf8',
  });
  // Words that were cut at a line's end are joined again.
  const text = groff.stdout.replace(/-\n\s+/g, '-').replace(/\s+/g, ' ');
  return { text, complaints: groff.stderr };
}

describe('manual pages', { concurrency: 2 }, () => {
  for (const command of COMMANDS) {
    test(`${pageName(command)}.8 is what groff understands`, { skip }, () => {
      const { text, complaints } = shown(manPage(command));
      assert.equal(complaints, '');
      assert.ok(text.includes('EXIT STATUS'));
    });

    test(`${pageName(command)}.8 has every option and argument`, () => {
      const page = manPage(command).replace(/\\-/g, '-');
      for (const { long } of command.options)
        assert.ok(page.includes(`\\fB${long}`) || page.includes(`, ${long}`), long);
      for (const argument of command.registeredArguments) {
        assert.ok(page.includes(`\\fB${argument.name()}\\fR`), argument.name());
      }
    });
  }

  test('a page has its date', () => {
    assert.match(manPage(PROGRAM), /^\.TH DST\\-QUIC 8 2026-03-01 "/);
  });

  test('the page of the program leads to those of its commands', () => {
    const page = manPage(PROGRAM);
    for (const command of PROGRAM.commands) {
      assert.ok(page.includes(`dst\\-quic\\-${command.name()}(8)`), command.name());
    }
  });

  test('defaults and choices are those of --help', { skip }, () => {
    const connect = PROGRAM.commands.find((each) => each.name() === 'connect');
    assert.ok(connect);
    const { text } = shown(manPage(connect));
    assert.match(text, /--resend-timeout <time> send a command again .* \(default: 5s\)/);
    assert.match(text, /\(choices: "text", "json"\)/);
  });

  test('examples stand line by line, and the rest of the help is told as well', () => {
    const cert = PROGRAM.commands.find((each) => each.name() === 'cert');
    assert.ok(cert);
    const page = manPage(cert);
    assert.match(page, /\.SH EXAMPLES\n\.nf\n\$ dst\\-quic cert .*\n\$ dst\\-quic cert .*\n\.fi\n/);
    assert.match(page, /\.PP\nThe export needs server\.pem/);
  });

  test('the keys of a configuration file that are arguments are told', () => {
    const find = (name: string) => PROGRAM.commands.find((each) => each.name() === name);
    const [exporting, connect, list] = ['export', 'connect', 'list'].map(find);
    assert.ok(exporting && connect && list);
    assert.match(manPage(exporting), /"stores" for what is no option/);
    assert.match(manPage(connect), /"address" for what is no option/);
    assert.doesNotMatch(manPage(list), /CONFIGURATION FILE/);
  });

  test('no text can be taken for roff', { skip }, () => {
    const odd = new Command('odd')
      .description('a \\fBslash\\n.')
      .option('--a', ".SH begins like a request\n'so does this")
      .option('--b', "it's -1 ~");
    const { text, complaints } = shown(manPage(odd));
    assert.equal(complaints, '');
    for (const words of [
      'a \\fBslash\\n',
      '.SH begins like a request',
      "'so does this",
      "it's -1 ~",
    ]) {
      assert.ok(text.includes(words), `${words} is not in: ${text}`);
    }
  });
});
