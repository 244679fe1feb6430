import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { KERNEL_MEND_DELAY_MAX_MS } from '../../../src/limits.js';
import { silentLog } from '../../../src/log.js';
import { type AttachOptions, KernelAttachment } from '../../../src/nbd/kernel/attachment.js';
import { pass, VirtualClock } from '../../support/virtual-time.js';
import { until } from '../../support/wait.js';
import { ScriptedDevice } from '../support.js';
import { FakeKernel, type KernelSocket } from './fake-kernel.js';

interface SetUpOptions extends Partial<AttachOptions> {
  readonly answersAtOnce?: boolean;
  readonly minimumBlockBytes?: number;
  readonly sizeBytes?: number;
  readonly readOnly?: boolean;
}

/** A device that was attached; time stands still but where a test lets it pass. */
export async function setUp(t: TestContext, options: SetUpOptions = {}) {
  const { answersAtOnce = true, readOnly = false, ...others } = options;
  const kernel = new FakeKernel(t);
  const clock = new VirtualClock();
  const device = new ScriptedDevice({ ...others, answersAtOnce, capabilities: { readOnly } });
  const attachment = await KernelAttachment.attach({
    driver: kernel,
    index: 0,
    device,
    connections: 2,
    deadConnectionTimeoutMs: 60_000,
    backend: 'ours',
    log: silentLog,
    clock,
    ...others,
  });
  t.after(() => (kernel.attached ? attachment.detach() : undefined));
  const place = (index: number): KernelSocket => {
    const found = kernel.sockets[index];
    assert.ok(found !== undefined);
    return found;
  };
  /** Waits until the attachment has given the kernel another socket for one. */
  const replaced = async (index: number, old: KernelSocket): Promise<KernelSocket> => {
    await until(() => {
      void pass(clock, KERNEL_MEND_DELAY_MAX_MS);
      return kernel.sockets[index] !== old;
    }, 'another socket');
    return place(index);
  };
  return { kernel, clock, device, attachment, place, replaced };
}
