/** What an engine has done since it was made. */
export interface EngineCounters {
  submitted: number;
  completed: number;
  resent: number;
  timedOut: number;
  corrupt: number;
  replayed: number;
}

export function newCounters(): EngineCounters {
  return { submitted: 0, completed: 0, resent: 0, timedOut: 0, corrupt: 0, replayed: 0 };
}
