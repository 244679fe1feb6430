import type { Cleanup } from '../support/cleanup.js';
export async function measureFloor(_t: Cleanup): Promise<void> {}
