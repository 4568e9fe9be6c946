/** Which relays a buyer's command asks: named on the command line, else configured, else those that come along. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { EXIT, ExitError, NodeError } from './base/error.ts';
import { exists } from './base/missing.ts';
import type { CommandContext, CommonOptions } from './cli-context.ts';
import { packagedRelays } from './cli-init.ts';
import { configPath } from './config.ts';
import { parseRelays } from './relay/config.ts';
import type { RelayConfig } from './relay/relay.ts';

export interface RelayOptions extends CommonOptions {
  relays?: string;
  relay?: string[];
}

export async function relaysToAsk(context: CommandContext, options: RelayOptions): Promise<RelayConfig[]> {
  const { env, cwd } = context.io;
  if (options.relay !== undefined) return parsed(options.relay, '--relay');
  if (options.relays !== undefined) {
    const file = resolve(cwd, options.relays);
    const text = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new ExitError(EXIT.refused, `--relays: ${file} cannot be read`, cause);
    });
    return parsed(text, '--relays');
  }
  const file = configPath({ file: options.config, env, cwd });
  // One that cannot be looked at is there: loading it says what is wrong.
  const configured = options.config !== undefined || (await exists(file).catch(() => true));
  if (configured) return (await context.load(options, { lenient: true })).relayList;
  return parsed(await packagedRelays(), 'relays.json');
}

function parsed(source: string | string[], name: string): RelayConfig[] {
  try {
    return parseRelays(typeof source === 'string' ? JSON.parse(source) : source);
  } catch (error) {
    if (error instanceof SyntaxError) throw new ExitError(EXIT.refused, `${name}: is not JSON`, error);
    if (error instanceof NodeError) throw new ExitError(EXIT.refused, `${name}: ${error.message}`, error);
    throw error;
  }
}
