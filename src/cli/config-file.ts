import { createRequire } from 'node:module';
import type { LineCounter, Node, Pair, Scalar, YAMLError } from 'yaml';
import { DstError } from '../errors.js';
import { CONFIG_FILE_BYTES_MAX } from '../limits.js';
import { readSmallFile, type SmallFileRules } from '../trust/small-file.js';
import { UsageError } from './exit.js';

const RULES: SmallFileRules = {
  what: 'configuration',
  code: 'DST_E_CONFIG',
  bytesMax: CONFIG_FILE_BYTES_MAX,
  instead: 'one with settings only',
};

const NOTHING = { text: '', kind: 'nothing' } as const;

/** One value of a configuration file. */
export interface ConfigValue {
  readonly line: number;
  /** Without quotes; a number has the digits that were written. */
  readonly text: string;
  readonly kind: 'text' | 'number' | 'boolean' | 'nothing';
}

/** One `key: value` of a configuration file. */
export interface ConfigEntry {
  readonly key: string;
  readonly line: number;
  readonly isList: boolean;
  /** One, unless it is a list. */
  readonly values: readonly ConfigValue[];
}

/**
 * Reads a configuration file: one YAML 1.2 map (core schema), whose values are scalars or lists
 * of scalars. What the keys mean is not looked at. Throws DST_E_CONFIG, with the line.
 */
export function readConfigFile(path: string): ConfigEntry[] {
  return parseConfig(path, readText(path));
}

/** `path` is for messages. */
export function parseConfig(path: string, text: string): ConfigEntry[] {
  const yaml = loadYaml();
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    version: '1.2',
    schema: 'core',
  });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw notYaml(path, lines, fault);
  const { contents } = document;
  if (contents === null) return [];
  const reader = new Reader(path, yaml, lines);
  if (!yaml.isMap(contents)) throw reader.error(contents, 'write settings as "key: value" here');
  return contents.items.map((pair) => reader.entry(pair));
}

/** What is wrong with a configuration file, and where. */
export function configError(path: string, line: number, sentence: string): UsageError {
  return new UsageError(`${path}:${line}: ${sentence}`, 'DST_E_CONFIG');
}

/** From the nodes of a document, as these know their lines, to entries. */
class Reader {
  readonly #path: string;
  readonly #yaml: typeof import('yaml');
  readonly #lines: LineCounter;

  constructor(path: string, yaml: typeof import('yaml'), lines: LineCounter) {
    this.#path = path;
    this.#yaml = yaml;
    this.#lines = lines;
  }

  entry({ key, value }: Pair<unknown, unknown>): ConfigEntry {
    const { text, line } = this.#scalar(key as Node, 'a key is one word');
    const isList = this.#yaml.isSeq(value);
    const nodes = isList ? (value.items as Node[]) : [value as Node | null];
    const expected = `"${text}" takes one value, or a list of them`;
    const values = nodes.map((node) =>
      node === null ? { line, ...NOTHING } : this.#scalar(node, expected),
    );
    return { key: text, line, isList, values };
  }

  error(node: Node, sentence: string): UsageError {
    return configError(this.#path, this.#line(node), sentence);
  }

  #scalar(node: Node, expected: string): ConfigValue {
    if (this.#yaml.isScalar(node)) return { line: this.#line(node), ...scalarText(node) };
    const found = this.#yaml.isAlias(node) ? 'an alias' : 'a map or list';
    throw this.error(node, `${expected}, and not ${found}`);
  }

  #line(node: Node): number {
    return this.#lines.linePos(node.range?.[0] ?? 0).line;
  }
}

function scalarText({ value, source }: Scalar): Omit<ConfigValue, 'line'> {
  if (value === null) return NOTHING;
  if (typeof value === 'string') return { text: value, kind: 'text' };
  const text = source ?? String(value);
  return { text, kind: typeof value === 'boolean' ? 'boolean' : 'number' };
}

function readText(path: string): string {
  try {
    const { content } = readSmallFile(path, RULES);
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch (cause) {
    const sentence =
      cause instanceof DstError
        ? cause.message
        : `the configuration file ${path} is not text in UTF-8: save it as such`;
    throw new UsageError(sentence, 'DST_E_CONFIG', cause);
  }
}

/** Loaded where there is such a file: it takes longer than all else that --help needs. */
function loadYaml(): typeof import('yaml') {
  return createRequire(import.meta.url)('yaml');
}

function notYaml(path: string, lines: LineCounter, { code, message, pos }: YAMLError): UsageError {
  const { line } = lines.linePos(pos[0]);
  if (code === 'DUPLICATE_KEY') {
    return configError(path, line, 'this key is there twice: give it once, as a list if need be');
  }
  if (code === 'MULTIPLE_DOCS') {
    return configError(path, line, 'a second document begins here: write all in one');
  }
  return configError(path, line, `this is not valid YAML: ${message.replace(/\.$/, '')}`);
}
