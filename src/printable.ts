/**
 * Text that may come from a peer, made fit for a log, for a terminal and for one line: line ends,
 * control and formatting characters become spaces, so that it cannot pose as another line or
 * steer the terminal.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
