import { DstError } from '../errors.js';
import { DEVICE_BYTES_MAX, SECTOR_BYTES } from '../limits.js';

/**
 * Refuses a size that no block device can have. `subject` starts the sentence: "/srv/a.img",
 * "--size". Throws DST_E_SIZE.
 */
export function checkSize(subject: string, sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes > DEVICE_BYTES_MAX) {
    throw new DstError(
      'DST_E_SIZE',
      `${subject} is ${sizeBytes} bytes: a device has from ${SECTOR_BYTES} to ${DEVICE_BYTES_MAX} bytes`,
    );
  }
  if (sizeBytes % SECTOR_BYTES !== 0) {
    const roundedBytes = Math.ceil(sizeBytes / SECTOR_BYTES) * SECTOR_BYTES;
    throw new DstError(
      'DST_E_SIZE',
      `${subject} is ${sizeBytes} bytes, not a multiple of ${SECTOR_BYTES}: ${roundedBytes} would do`,
    );
  }
}
