/**
 * Writes what `make install` puts in place beside the command, from the commands themselves:
 * `node generate.js man|bash-completion|zsh-completion|fish-completion FOLDER ...`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bashCompletion, fishCompletion, zshCompletion } from './completions.js';
import { manPage, pageName } from './man-page.js';
import { createProgram } from './program.js';

/** File names and contents. */
type Files = readonly (readonly [string, string])[];

function manual(): Files {
  const program = createProgram();
  const date = buildDate();
  return [program, ...program.commands].map((each) => [`${pageName(each)}.8`, manPage(each, date)]);
}

/** Today, or the time that a reproducible build is given (reproducible-builds.org). */
function buildDate(): Date {
  const seconds = process.env.SOURCE_DATE_EPOCH;
  return seconds === undefined || seconds === '' ? new Date() : new Date(Number(seconds) * 1000);
}

/** Each completion has the name under which its shell looks for it. */
const KINDS = new Map<string, () => Files>([
  ['man', manual],
  ['bash-completion', () => [['dst-quic', bashCompletion(createProgram())]]],
  ['zsh-completion', () => [['_dst-quic', zshCompletion(createProgram())]]],
  ['fish-completion', () => [['dst-quic.fish', fishCompletion(createProgram())]]],
]);

const words = process.argv.slice(2);
for (let i = 0; i === 0 || i < words.length; i += 2) writeFiles(words[i] ?? '', words[i + 1]);

function writeFiles(kind: string, folder: string | undefined): void {
  const files = KINDS.get(kind);
  if (files === undefined || folder === undefined) {
    throw new Error(`usage: node generate.js ${[...KINDS.keys()].join('|')} FOLDER ...`);
  }
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files()) writeFileSync(join(folder, name), content);
}
