/** Public API of the package: run a node, find one, or ask one over direct messages. */
export { loadConfig, type Config } from './config.ts';
export { createNode, initNode, type RunningNode } from './node.ts';
export { createLogger, silentLogger, type Logger } from './base/log.ts';
export { discover, type DiscoverOptions, type Provider } from './discover.ts';
export {
  openMessages,
  DmFailure,
  DmRefusal,
  type DmAnswer,
  type DmChunk,
  type DmRequest,
  type Messages,
  type MessagesOptions,
} from './messages.ts';
