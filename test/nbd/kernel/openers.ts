import { readdirSync, readlinkSync } from 'node:fs';

/** The ids of the processes that have a file open, once for each time. */
export function openersOf(path: string): number[] {
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return ids.flatMap((id) =>
    openFilesOf(Number(id))
      .filter((target) => target === path)
      .map(() => Number(id)),
  );
}

/** What a process has open, each as /proc shows it. */
export function openFilesOf(processId: number): string[] {
  const folder = `/proc/${processId}/fd`;
  try {
    return readdirSync(folder).map((fd) => readlinkSync(`${folder}/${fd}`));
  } catch {
    // It is gone, or somebody else's.
    return [];
  }
}
