/** Public API of the package: run a node, or find one. */
export { loadConfig, type Config } from './config.ts';
export { createNode, initNode, type RunningNode } from './node.ts';
export { createLogger, silentLogger, type Logger } from './base/log.ts';
export { discover, type DiscoverOptions, type Provider } from './discover.ts';
