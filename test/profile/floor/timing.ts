/** What a thing was measured to cost. */
export interface Cost {
  readonly what: string;
  /** The best of several rounds, us: whatever else goes on makes them slower, and none quicker. */
  readonly bestUs: number;
}

const ROUNDS = 7;
const ROUND_MS = 25;

/** Times something synchronous, over and over. */
export function time(what: string, run: () => unknown): Cost {
  let bestUs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    let count = 0;
    let tookMs = 0;
    while (tookMs < ROUND_MS) {
      for (let i = 0; i < 16; i++) run();
      count += 16;
      tookMs = performance.now() - startMs;
    }
    bestUs = Math.min(bestUs, (tookMs * 1000) / count);
  }
  return { what, bestUs };
}

/** Times something that ends later, one after the other. */
export async function timeLater(what: string, run: () => Promise<unknown>): Promise<Cost> {
  let bestUs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    let count = 0;
    while (performance.now() - startMs < ROUND_MS) {
      await run();
      count++;
    }
    bestUs = Math.min(bestUs, ((performance.now() - startMs) * 1000) / count);
  }
  return { what, bestUs };
}
