/** `proxy`: an OpenAI-compatible server on this machine for a node that is reached over encrypted messages only. */
import type { AddressInfo } from 'node:net';
import type { Command } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { msat } from './base/money.ts';
import { systemClock, unixSeconds } from './base/time.ts';
import { pubkeysOf } from './cli-buyer-dir.ts';
import { type CommandContext, wholeNumber, withConfig } from './cli-context.ts';
import { type DmOptions, openDm, withDm } from './cli-dm.ts';
import { npubOf } from './relay/key.ts';

interface ProxyCommandOptions extends DmOptions {
  dm: string;
  host: string;
  port: number;
  maxSats?: number;
}

export function addProxyCommand(program: Command, context: CommandContext): void {
  withDm(withConfig(program.command('proxy')))
    .description('serve the OpenAI API on this machine and ask a node over encrypted messages')
    .requiredOption('--dm <npub>', 'the node')
    .option('--port <number>', 'port to listen on', wholeNumber(0, 65_535), 8_008)
    .option(
      '--host <address>',
      'address to listen on; others than loopback must bring a key of their own',
      '127.0.0.1',
    )
    .option('--max-sats <number>', 'most that one answer may cost', wholeNumber(1, 1_000_000))
    .action((options: ProxyCommandOptions) => runProxy(context, options));
}

async function runProxy(context: CommandContext, options: ProxyCommandOptions): Promise<void> {
  const stopped = new Promise<void>((resolve) => context.io.onSignal(resolve));
  const [peer = ''] = pubkeysOf([options.dm], '--dm');
  const { host, port, maxSats } = options;
  const link = await openDm(context, options, peer);
  try {
    const { createProxy } = await import('./client/proxy.ts');
    const server = createProxy({
      client: link.client,
      host,
      ...(maxSats === undefined ? {} : { maxMsat: msat(maxSats * 1_000) }),
      onOutcome: (outcome) =>
        void link.memory?.note({ pubkey: peer, ...outcome, at: unixSeconds(systemClock) }),
      clock: systemClock,
      log: createLogger({ level: 'warn' }),
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          new ExitError(EXIT.unavailable, `cannot listen on ${host}:${port} (${error.code ?? 'error'})`),
        ),
      );
      server.listen(port, host, resolve);
    });
    const address = server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    const url = `http://${name}:${address.port}/v1`;
    const facts = { event: 'proxy.ready', url, node: npubOf(peer), account: link.key.npub };
    context.output(options).result(facts, () => lines(facts).join('\n'));
    await stopped;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  } finally {
    await link.close();
  }
}

const lines = ({ url, node, account }: { url: string; node: string; account: string }): string[] => [
  `base URL    ${url}`,
  `node        ${node}   over encrypted messages`,
  `account     ${account}   pays unless the API key is sk-… or a token`,
  '',
  'top up:',
  `  curl -s ${url}/wallet/topup -H 'Content-Type: application/json' -d '{"cashu_token":"cashuB…"}'`,
  'Python:',
  `  OpenAI(base_url="${url}", api_key="none").chat.completions.create(model="…", messages=[…])`,
];
