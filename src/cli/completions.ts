/** What shells complete, for bash, zsh and fish, from the commands themselves. */
import type { Command, Option } from 'commander';
import { namesFile, placeholderOf } from './options.js';

/** Words of a placeholder that are meant as they stand, as in `<n|auto>`. */
const LITERALS = new Set(['auto', 'inf']);

const DEVICES = '/dev/nbd*';

/** What may follow an option, or stand for an argument. */
interface Values {
  readonly words: readonly string[];
  readonly files: boolean;
  readonly devices: boolean;
}

const NO_VALUES: Values = { words: [], files: false, devices: false };

/** Completion for bash: goes where bash-completion looks, under the program's name. */
export function bashCompletion(program: Command): string {
  const commands = program.commands.map((command) => command.name());
  const values = [
    ...program.options.filter(takesValue).map((option) => bashCase('', option)),
    ...program.commands.flatMap((command) =>
      optionsOf(command)
        .filter(takesValue)
        .map((option) => bashCase(command.name(), option)),
    ),
  ];
  const operands = program.commands.map((command) => {
    const flags = optionsOf(command).flatMap(flagsOf).join(' ');
    return `    ${command.name()}) _dst_quic_flags='${flags}'; ${bashValues(operandOf(command))} ;;`;
  });
  const flags = [...program.options.flatMap(flagsOf), '--help'].join(' ');
  const withValue = program.options.filter(takesValue).flatMap(flagsOf);
  return `# bash completion for dst-quic, made from its commands
_dst_quic_reply() {
  mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen "$@" -- "$_dst_quic_word")
}
_dst_quic() {
  local word command='' before='' _dst_quic_flags='' _dst_quic_word=\${COMP_WORDS[COMP_CWORD]}
  local previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  # "--option=value" is three words to bash.
  if [[ $_dst_quic_word == = ]]; then
    _dst_quic_word=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word != = ]] || continue
    case $before in ${withValue.join('|')}) before=''; continue ;; esac
    case $word in ${commands.join('|')}) command=$word; break ;; esac
    before=$word
  done
  case "$command $previous" in
${values.join('\n')}
  esac
  if [[ -z $command ]]; then
    _dst_quic_reply -W '${commands.join(' ')} ${flags}'
    return
  fi
  case $command in
${operands.join('\n')}
  esac
  _dst_quic_reply -W "$_dst_quic_flags"
}
complete -F _dst_quic dst-quic
`;
}

function bashCase(command: string, option: Option): string {
  return `    '${command} ${option.long}') ${bashValues(valuesOf(option))} return ;;`;
}

function bashValues({ words, files, devices }: Values): string {
  const steps: string[] = [];
  if (files || devices) steps.push('compopt -o filenames;');
  if (files) steps.push('_dst_quic_reply -f;');
  if (devices) steps.push(`_dst_quic_reply -W "$(compgen -G '${DEVICES}')";`);
  if (words.length > 0) steps.push(`_dst_quic_reply -W '${words.join(' ')}';`);
  return steps.join(' ');
}

/** Completion for zsh: `_dst-quic`, in a folder of its fpath. */
export function zshCompletion(program: Command): string {
  const commands = program.commands.map(
    (command) => `    ${zshQuoted(`${command.name()}:${command.description()}`)}`,
  );
  const cases = program.commands.map((command) => {
    const specs = [...optionsOf(command).map(zshOption), zshOperand(command)];
    return `    ${command.name()})\n      _arguments -s ${specs.join(' \\\n        ')} ;;`;
  });
  return `#compdef dst-quic
# made from the commands of dst-quic
local -a commands
local curcontext="$curcontext" state line
_arguments -C ${program.options.map(zshOption).join(' \\\n  ')} \\
  '1:command:->command' '*::argument:->argument'
case $state in
  command)
    commands=(
${commands.join('\n')}
    )
    _describe command commands ;;
  argument)
    case $line[1] in
${cases.join('\n')}
    esac ;;
esac
`;
}

function zshOption(option: Option): string {
  const what = option.description.replace(/[\][:]/g, '\\$&');
  const spec = takesValue(option)
    ? `*${option.long}=[${what}]:${placeholderOf(option)?.replace(/[[\]:]/g, ' ') ?? ''}:${zshAction(valuesOf(option))}`
    : `${option.long}[${what}]`;
  return zshQuoted(spec);
}

function zshOperand(command: Command): string {
  const [first] = command.registeredArguments;
  return zshQuoted(`*:${first?.name() ?? ''}:${zshAction(operandOf(command))}`);
}

function zshAction({ words, files, devices }: Values): string {
  if (files) return '_files';
  const literals = words.length > 0 ? `; compadd -- ${words.join(' ')}` : '';
  if (devices) return `{_files -g "${DEVICES}"${literals}}`;
  return words.length > 0 ? `(${words.join(' ')})` : ' ';
}

function zshQuoted(text: string): string {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

/** Completion for fish: `dst-quic.fish` in a folder of its completions. */
export function fishCompletion(program: Command): string {
  const lines = [
    '# fish completion for dst-quic, made from its commands',
    'complete -c dst-quic -f',
  ];
  for (const option of program.options) lines.push(fishOption(option, ''));
  for (const command of program.commands) {
    const what = fishQuoted(command.description());
    lines.push(`complete -c dst-quic -n __fish_use_subcommand -a ${command.name()} -d ${what}`);
    const condition = `-n '__fish_seen_subcommand_from ${command.name()}' `;
    for (const option of command.options) lines.push(fishOption(option, condition));
    const operand = fishValues(operandOf(command));
    if (operand !== '') lines.push(`complete -c dst-quic ${condition}${operand}`);
  }
  return `${lines.join('\n')}\n`;
}

function fishOption(option: Option, condition: string): string {
  const value = takesValue(option) ? ` -r ${fishValues(valuesOf(option))}` : '';
  const name = option.name();
  return `complete -c dst-quic ${condition}-l ${name} -d ${fishQuoted(option.description)}${value}`.trimEnd();
}

function fishValues({ words, files, devices }: Values): string {
  const offered = [...words, ...(devices ? [`(for path in ${DEVICES}; echo $path; end)`] : [])];
  if (files) return '-F';
  return offered.length > 0 ? `-f -a ${fishQuoted(offered.join(' '))}` : '';
}

function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

/** Those of a command and of the program. */
function optionsOf(command: Command): Option[] {
  const help = command.createHelp();
  return [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
}

function flagsOf({ long }: Option): string[] {
  return long === undefined ? [] : [long];
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function valuesOf(option: Option): Values {
  const placeholder = placeholderOf(option) ?? '';
  const literals = placeholder.split('|').filter((word) => LITERALS.has(word));
  return {
    words: option.argChoices ?? literals,
    files: namesFile(option),
    devices: option.name() === 'device',
  };
}

/** The first argument of a command: a store is a file, and what is disconnected may be a device. */
function operandOf({ registeredArguments: [first] }: Command): Values {
  const name = first?.name() ?? '';
  return { ...NO_VALUES, files: name === 'store', devices: name === 'what' };
}
