/** `proxy`: an OpenAI-compatible server on this machine for one node, over HTTP or over encrypted messages. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Command } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { msat } from './base/money.ts';
import { systemClock, unixSeconds } from './base/time.ts';
import { buyerDir, pubkeysOf } from './cli-buyer-dir.ts';
import { buyerKey } from './cli-buyer-key.ts';
import { type CommandContext, wholeNumber, withConfig } from './cli-context.ts';
import { type DmOptions, openDm, withDm } from './cli-dm.ts';
import { addressOf } from './cli-node-address.ts';
import type { Memory } from './client/memory.ts';
import { npubOf } from './relay/key.ts';

interface ProxyCommandOptions extends DmOptions {
  dm?: string;
  node?: string;
  allowPrivate?: boolean;
  host: string;
  port: number;
  maxSats?: number;
}

/** A proxy that does not listen yet, and what is told about it. */
interface Opened {
  server: Server;
  how: 'http' | 'dm';
  node: string;
  account: string;
  close: () => Promise<void>;
}

export function addProxyCommand(program: Command, context: CommandContext): void {
  withDm(withConfig(program.command('proxy')))
    .description('serve the OpenAI API on this machine and ask a node, over HTTP or over encrypted messages')
    .option('--node <npub|url>', 'the node, over HTTP')
    .option('--dm <npub>', 'the node, over encrypted messages; it needs no public address')
    .option('--port <number>', 'port to listen on', wholeNumber(0, 65_535), 8_008)
    .option(
      '--host <address>',
      'address to listen on; others than loopback must bring a key of their own',
      '127.0.0.1',
    )
    .option('--max-sats <number>', 'most that one answer may cost', wholeNumber(1, 1_000_000))
    .option('--allow-private', 'also contact an announced private or loopback address')
    .action((options: ProxyCommandOptions) => runProxy(context, options));
}

async function runProxy(context: CommandContext, options: ProxyCommandOptions): Promise<void> {
  const stopped = new Promise<void>((resolve) => context.io.onSignal(resolve));
  const { dm, node, host, port } = options;
  if ((dm === undefined) === (node === undefined))
    throw new ExitError(EXIT.usage, 'give either --node, to ask over HTTP, or --dm, over encrypted messages');
  const opened =
    dm === undefined ? await overHttp(context, options, node ?? '') : await overDm(context, options, dm);
  const { server, how } = opened;
  try {
    await listen(server, host, port);
    const address = server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    const url = `http://${name}:${address.port}/v1`;
    const facts = { event: 'proxy.ready', url, how, node: opened.node, account: opened.account };
    context.output(options).result(facts, () => lines(facts).join('\n'));
    await stopped;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  } finally {
    await opened.close();
  }
}

async function overDm(context: CommandContext, options: ProxyCommandOptions, dm: string): Promise<Opened> {
  const [peer = ''] = pubkeysOf([dm], '--dm');
  const { client, key, memory, close } = await openDm(context, options, peer);
  const { createProxy } = await import('./client/proxy.ts');
  const server = createProxy({ client, ...common(options, memory, peer) });
  return { server, how: 'dm', node: npubOf(peer), account: key.npub, close };
}

async function overHttp(
  context: CommandContext,
  options: ProxyCommandOptions,
  node: string,
): Promise<Opened> {
  const key = await buyerKey(context.io, options);
  const { url, pubkey } = await addressOf(context, { ...options, node });
  const dir = buyerDir(context.io, options.buyerDir);
  const [{ createHttpProxy }, { createMemory }] = await Promise.all([
    import('./client/proxy-http.ts'),
    import('./client/memory.ts'),
  ]);
  const memory = dir === undefined ? undefined : createMemory({ dir, log: createLogger({ level: 'error' }) });
  const server = createHttpProxy({
    url,
    // A URL that somebody typed is their own choice; one that was announced is a stranger's word.
    allowPrivate: pubkey === undefined || options.allowPrivate === true,
    key,
    ...common(options, memory, pubkey),
  });
  return { server, how: 'http', node: url, account: key.npub, close: () => Promise.resolve() };
}

/** How it went is remembered where it is known whose node it was. */
function common(
  { host, maxSats }: ProxyCommandOptions,
  memory: Memory | undefined,
  pubkey: string | undefined,
) {
  return {
    host,
    ...(maxSats === undefined ? {} : { maxMsat: msat(maxSats * 1_000) }),
    onOutcome: (outcome: { ok: boolean; latencyMs: number }) => {
      if (pubkey !== undefined) void memory?.note({ pubkey, ...outcome, at: unixSeconds(systemClock) });
    },
    clock: systemClock,
    log: createLogger({ level: 'warn' }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new ExitError(EXIT.unavailable, `cannot listen on ${host}:${port} (${error.code ?? 'error'})`)),
    );
    server.listen(port, host, resolve);
  });
}

const lines = ({ url, how, node, account }: Omit<Opened, 'server' | 'close'> & { url: string }): string[] => [
  `base URL    ${url}`,
  `node        ${node}   over ${how === 'http' ? 'HTTP' : 'encrypted messages'}`,
  `account     ${account}   pays unless the API key is sk-… or a token`,
  '',
  'top up:',
  `  curl -s ${url}/wallet/topup -H 'Content-Type: application/json' -d '{"cashu_token":"cashuB…"}'`,
  'Python:',
  `  OpenAI(base_url="${url}", api_key="none").chat.completions.create(model="…", messages=[…])`,
];
