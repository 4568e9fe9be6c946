/** Hardened WebSocket for relay links: bounded, silent on errors after its owner left, fed only with checked frames. */
import { WebSocket } from 'ws';
import { LIMITS } from '../base/limits.ts';
import { type Frame, readFrame } from './frame.ts';

export interface SocketHooks {
  /** Called once, before anything is sent. */
  created: (socket: WebSocket) => void;
  /** Asked before anything is parsed; false drops the message. */
  admit: (message: Buffer) => boolean;
  /** True lets a frame through to the relay client; false keeps it. */
  accept: (frame: Frame) => boolean;
}

/**
 * A socket class for one connection attempt. The relay client drops its own error handler before it closes a
 * socket that is still connecting, and the error that follows would end the process; hence the listener that stays.
 * Frames of other shapes never arrive, because the client would print them.
 */
export function socketClass(hooks: SocketHooks): new (address: string | URL) => WebSocket {
  return class RelaySocket extends WebSocket {
    constructor(address: string | URL) {
      super(address, {
        handshakeTimeout: LIMITS.relay.handshakeTimeoutMs,
        maxPayload: LIMITS.relay.payloadBytesMax,
        perMessageDeflate: false,
        followRedirects: false,
        // One message per turn of the event loop: each may cost a signature check.
        allowSynchronousEvents: false,
      });
      this.on('error', () => this.terminate());
      hooks.created(this);
    }

    override emit(event: string | symbol, ...args: unknown[]): boolean {
      if (event === 'message') {
        const [data, isBinary] = args;
        if (isBinary !== false || !(data instanceof Buffer) || !hooks.admit(data)) return false;
        const frame = readFrame(data.toString('utf8'));
        if (frame === undefined || !hooks.accept(frame)) return false;
      }
      return super.emit(event, ...args);
    }
  };
}
