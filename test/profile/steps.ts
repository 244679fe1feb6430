import type { Cleanup } from '../support/cleanup.js';
export async function measureSteps(_t: Cleanup): Promise<void> {}
