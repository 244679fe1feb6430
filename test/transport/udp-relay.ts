import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

const HOST = '127.0.0.1';

/** Passes one client's packets to a port of this machine and back, those that are small enough. */
export interface UdpRelay {
  readonly port: number;
  /** Larger packets vanish, as on a path whose MTU has shrunk. */
  packetBytesMax: number;
}

/** `answered` is called with each packet of the server's, before it goes on its way. */
export async function udpRelay(
  t: TestContext,
  serverPort: number,
  answered: (packet: Buffer) => void = () => {},
): Promise<UdpRelay> {
  const front = await boundSocket(t);
  const back = await boundSocket(t);
  const relay = { port: front.address().port, packetBytesMax: Infinity };
  let clientPort: number | undefined;
  front.on('message', (packet, from) => {
    clientPort = from.port;
    if (packet.length <= relay.packetBytesMax) back.send(packet, serverPort, HOST);
  });
  back.on('message', (packet) => {
    answered(packet);
    const passes = packet.length <= relay.packetBytesMax && clientPort !== undefined;
    if (passes) front.send(packet, clientPort, HOST);
  });
  return relay;
}

async function boundSocket(t: TestContext): Promise<Socket> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, HOST);
  await once(socket, 'listening');
  return socket;
}
