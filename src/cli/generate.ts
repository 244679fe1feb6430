/**
 * Writes what `make install` puts in place beside the command, from the commands themselves:
 * `node generate.js man|bash-completion|zsh-completion|fish-completion FOLDER`.
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
  return [program, ...program.commands].map((each) => [`${pageName(each)}.8`, manPage(each)]);
}

/** Each completion has the name under which its shell looks for it. */
const KINDS = new Map<string, () => Files>([
  ['man', manual],
  ['bash-completion', () => [['dst-quic', bashCompletion(createProgram())]]],
  ['zsh-completion', () => [['_dst-quic', zshCompletion(createProgram())]]],
  ['fish-completion', () => [['dst-quic.fish', fishCompletion(createProgram())]]],
]);

const [, , kind = '', folder] = process.argv;
const files = KINDS.get(kind);
if (files === undefined || folder === undefined) {
  throw new Error(`usage: node generate.js ${[...KINDS.keys()].join('|')} FOLDER`);
}
mkdirSync(folder, { recursive: true });
for (const [name, content] of files()) writeFileSync(join(folder, name), content);
