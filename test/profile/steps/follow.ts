/** Puts together what several processes and the kernel noted of commands, one after the other. */

export interface Event {
  readonly name: string;
  readonly atNs: number;
}

/** A stretch of a command's way: it ends at the event of this name. */
export interface Step {
  readonly until: string;
  readonly what: string;
  /**
   * Of several such events before the next step's, the last counts, and not the first: threads
   * also wake for other things.
   */
  readonly last?: boolean;
}

export interface Way {
  /** Where a command begins, and the one before it ends: there is one such event a command. */
  readonly start: string;
  readonly steps: readonly Step[];
}

/**
 * How long each step took, ns, of each command that all steps were seen of. `events` are in the
 * order of time. The last step of a way ends where the next command starts.
 */
export function follow(events: readonly Event[], { start, steps }: Way): number[][] {
  const starts = events.flatMap(({ name }, index) => (name === start ? [index] : []));
  const commands: number[][] = [];
  for (const [number, from] of starts.entries()) {
    const until = starts[number + 1];
    if (until === undefined) break;
    const durations = measure(events.slice(from, until + 1), steps);
    if (durations !== undefined) commands.push(durations);
  }
  return commands;
}

function measure(events: readonly Event[], steps: readonly Step[]): number[] | undefined {
  const places: number[] = [];
  let at = 0;
  for (const [number, step] of steps.entries()) {
    const place = step.last
      ? lastBefore(events, step.until, at, steps[number + 1]?.until)
      : first(events, step.until, at);
    if (place === -1) return undefined;
    places.push(place);
    at = place;
  }
  const times = [0, ...places].map((place) => events[place]?.atNs ?? 0);
  return times.slice(1).map((time, i) => time - (times[i] ?? 0));
}

function first(events: readonly Event[], name: string, after: number): number {
  return events.findIndex((event, index) => index > after && event.name === name);
}

function lastBefore(
  events: readonly Event[],
  name: string,
  after: number,
  next: string | undefined,
): number {
  const limit = next === undefined ? events.length : nextAfterOne(events, name, next, after);
  for (let index = limit - 1; index > after; index--) {
    if (events[index]?.name === name) return index;
  }
  return -1;
}

/** Where the event `next` is that follows at least one of `name`. */
function nextAfterOne(events: readonly Event[], name: string, next: string, after: number): number {
  const one = first(events, name, after);
  return one === -1 ? -1 : first(events, next, one);
}

/** The median of each column. */
export function medians(rows: readonly (readonly number[])[]): number[] {
  return (rows[0] ?? []).map((_, column) => {
    const sorted = rows.map((row) => row[column] ?? 0).sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  });
}
