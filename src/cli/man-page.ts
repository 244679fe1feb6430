/** Manual pages (man-pages(7)), of what `--help` says and of FILES and ENVIRONMENT below. */
import type { Command, Help } from 'commander';
import { VERSION } from '../version.js';
import { configOptionOf, keyOfArgument } from './config-schema.js';
import { EXIT, EXIT_MEANINGS } from './exit.js';

const SECTION = 8;

type Row = readonly [string, string];

const FILES: readonly Row[] = [
  ['/etc/dst-quic/NAME.conf', 'configuration of the client dst-quic@NAME.service'],
  ['/etc/dst-quic/export/NAME.conf', 'configuration of dst-quic-export@NAME.service'],
  ['/run/dst-quic', 'sockets of clients, and what lets a device outlive its client'],
  ['/var/lib/dst-quic', 'who wrote last to the stores of an export'],
  ['~/.cache/dst-quic', 'which transport reached an export'],
];

const ENVIRONMENT: readonly Row[] = [
  ['DST_QUIC_RUNTIME_DIR', 'a folder in place of the next one, and of /run/dst-quic'],
  ['XDG_RUNTIME_DIR', 'for users other than root: in it is dst-quic, in place of /run/dst-quic'],
  ['STATE_DIRECTORY, XDG_STATE_HOME', 'where an export keeps who wrote last'],
  ['CACHE_DIRECTORY, XDG_CACHE_HOME', 'where a client keeps which transport worked'],
  ['NOTIFY_SOCKET', 'a service manager that is told READY=1 and STOPPING=1'],
  ['TMPDIR', 'where the QUIC engine makes a private folder'],
];

const CONFIGURATION = [
  'The file is YAML. Its keys are the long names of the options, without their dashes, and',
  'What may be given several times is a list, and a switch is true or false. Relative paths',
  'begin at the folder of the file. What is on the command line counts instead of what the file',
  'says of the same.',
] as const;

/** The page of one command, or of the program, as groff reads it; `date` is the day it is of. */
export function manPage(command: Command, date: Date): string {
  const help = command.createHelp();
  const name = pageName(command);
  const { notes, examples } = helpTexts(command);
  const commands = help.visibleCommands(command).filter((each) => command.commands.includes(each));
  const lines = [
    `.TH ${text(name.toUpperCase())} ${SECTION} ${date.toISOString().slice(0, 10)} "dst\\-quic ${VERSION}" "System Administration"`,
    ...section('Name', [`${text(name)} \\- ${text(lowerFirst(command.description()))}`]),
    ...section('Synopsis', [`.B ${text(help.commandUsage(command))}`]),
    ...section('Description', [text(command.description()), ...notes]),
    ...rows(
      'Commands',
      commands.map((each) => [each.name(), summary(each)] as const),
    ),
    ...rows('Arguments', argumentsOf(command, help)),
    ...rows('Options', optionsOf(command, help)),
    ...rows('Global options', globalOptionsOf(command, help)),
    ...configuration(command),
    ...section('Examples', examples),
    ...rows('Exit status', exitRows()),
    ...rows('Environment', ENVIRONMENT),
    ...rows('Files', FILES),
    ...section('See also', seeAlso(command)),
  ];
  return `${lines.join('\n')}\n`;
}

/** `dst-quic-connect`: also the page's file name, with ".8" after it. */
export function pageName(command: Command): string {
  return command.parent === null ? command.name() : `${pageName(command.parent)}-${command.name()}`;
}

function summary(command: Command): string {
  return `${command.description()} See ${pageName(command)}(${SECTION}).`;
}

function argumentsOf(command: Command, help: Help): Row[] {
  return help
    .visibleArguments(command)
    .map((each) => [help.argumentTerm(each), help.argumentDescription(each)]);
}

function optionsOf(command: Command, help: Help): Row[] {
  return help
    .visibleOptions(command)
    .map((each) => [help.optionTerm(each), help.optionDescription(each)]);
}

function globalOptionsOf(command: Command, help: Help): Row[] {
  return help
    .visibleGlobalOptions(command)
    .map((each) => [help.optionTerm(each), help.optionDescription(each)]);
}

function exitRows(): Row[] {
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[];
  return names.map((name) => [String(EXIT[name]), EXIT_MEANINGS[name]]);
}

function configuration(command: Command): string[] {
  if (configOptionOf(command) === undefined) return [];
  const keys = command.registeredArguments.map((each) => `"${keyOfArgument(each)}"`);
  const [begin, ...rest] = CONFIGURATION;
  const sentence = `${begin} ${keys.join(', ')} for what is no option.`;
  return section('Configuration file', [text(sentence), ...rest.map(text)]);
}

function seeAlso(command: Command): string[] {
  const program = command.parent ?? command;
  const others = [program, ...program.commands].filter((each) => each !== command);
  return [others.map((each) => `${text(pageName(each))}(${SECTION})`).join(',\n')];
}

/** What stands below the options in `--help`: examples are set apart. */
function helpTexts(command: Command): { notes: string[]; examples: string[] } {
  const printed: string[] = [];
  command.configureOutput({ writeOut: (words) => printed.push(words) });
  command.outputHelp();
  const after = printed.join('').slice(command.helpInformation().length).trim();
  const notes: string[] = [];
  const examples: string[] = [];
  let inExamples = false;
  for (const block of after.split(/\n{2,}/).filter((each) => each !== '')) {
    const indented = block.startsWith('  ');
    inExamples = /^Examples?\b.*:\n/.test(block) || (inExamples && indented);
    if (inExamples) examples.push('.PP', literal(block.replace(/^Examples?\b.*:\n/, '')));
    else notes.push('.PP', indented ? literal(block) : text(block));
  }
  return { notes, examples: examples.slice(1) };
}

/** Lines that stay as they are. */
function literal(block: string): string {
  return ['.nf', ...block.split('\n').map((line) => text(line.replace(/^ {2}/, ''))), '.fi'].join(
    '\n',
  );
}

function section(title: string, body: readonly string[]): string[] {
  return body.length === 0 ? [] : [`.SH ${title.toUpperCase()}`, ...body];
}

function rows(title: string, entries: readonly Row[]): string[] {
  const body = entries.flatMap(([term, what]) => ['.TP', `\\fB${text(term)}\\fR`, text(what)]);
  return section(title, body);
}

/** Plain text as roff: nothing in it is a request or an escape, and a minus stays one. */
function text(plain: string): string {
  return plain
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/~/g, '\\(ti')
    .replace(/^(?=[.'])/gm, '\\&');
}

function lowerFirst(sentence: string): string {
  return (sentence.charAt(0).toLowerCase() + sentence.slice(1)).replace(/\.$/, '');
}
