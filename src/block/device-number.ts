/** The two halves of a Linux device number (`st_dev`, `st_rdev`): neither is one run of bits. */
export function splitDeviceNumber(deviceNumber: bigint): { major: bigint; minor: bigint } {
  return {
    major: ((deviceNumber >> 8n) & 0xfffn) | ((deviceNumber >> 32n) & 0xfffff000n),
    minor: (deviceNumber & 0xffn) | ((deviceNumber >> 12n) & 0xffffff00n),
  };
}
