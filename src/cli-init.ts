/** `init`: makes a node once. What exists is never touched, so running it again is safe. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { exists } from './base/missing.ts';
import { type CliIo, type CommandContext, type CommonOptions, withConfig } from './cli-context.ts';
import { list } from './cli-output.ts';
import { NODE_TEMPLATE } from './cli-template.ts';
import { type Config, configPath } from './config.ts';

interface InitOptions extends CommonOptions {
  yes?: boolean;
}

export function addInitCommand(program: Command, context: CommandContext): void {
  withConfig(program.command('init'))
    .description('write node.yaml and make key, seed and ledger; changes nothing that exists')
    .option('-y, --yes', 'do not ask')
    .action((options: InitOptions) => init(context, options));
}

async function init(context: CommandContext, options: InitOptions): Promise<void> {
  const { io } = context;
  const file = configPath({ file: options.config, env: io.env, cwd: io.cwd });
  if (options.yes !== true) await confirm(io, file);

  const created: string[] = [];
  // The list that the template names, before it is missed.
  const relays = join(dirname(file), 'relays.json');
  if (await writeOnce(file, NODE_TEMPLATE)) {
    created.push(file);
    if (await writeOnce(relays, await packagedRelays())) created.push(relays);
  }
  const config = await context.load(options, { lenient: true });
  await refuseHalfNode(config);
  if (typeof config.relays === 'string' && (await writeOnce(config.relays, await packagedRelays()))) {
    created.push(config.relays);
  }
  await makePrivate(config.data_dir);
  if (config.secrets.nsecFile !== undefined) await makePrivate(dirname(config.secrets.nsecFile));
  const { initNode } = await import('./node-data.ts');
  const made = await initNode(config);
  created.push(...made.created);
  await show(context, options, config, { npub: made.npub, created });
}

async function show(
  context: CommandContext,
  options: InitOptions,
  config: Config,
  made: { npub: string; created: string[] },
): Promise<void> {
  const seed = join(config.data_dir, 'seed');
  const result = {
    npub: made.npub,
    config: config.file,
    data_dir: config.data_dir,
    seed,
    created: made.created,
    backup: BACKUP,
  };
  const words = made.created.includes(seed) && context.io.isTTY ? await readFile(seed, 'utf8') : undefined;
  context.output(options).result(result, () =>
    [
      made.created.length === 0 ? 'This node is complete; nothing was changed.' : 'Created:',
      ...made.created.map((path) => `  ${path}`),
      '',
      list([
        ['npub', made.npub],
        ['config', config.file],
        ['data', config.data_dir],
        ['seed', seed],
      ]),
      '',
      ...(words === undefined ? [] : ['Seed words, shown this once:', `  ${words.trim()}`, '']),
      BACKUP,
    ].join('\n'),
  );
}

const BACKUP =
  'Back up the seed and the key now: the 12 words restore the ecash of this node, the key is its name. ' +
  'Balances of your clients live only in the ledger, so back up the data directory too.';

/** A seed without its ledger, or the reverse, is a lost half: making the other anew would hide the loss. */
async function refuseHalfNode(config: Config): Promise<void> {
  const has = (name: string): Promise<boolean> => exists(join(config.data_dir, name));
  const [seed, ledger] = [await has('seed'), await has('ledger')];
  if (seed === ledger) return;
  const [have, lack] = seed ? ['seed', 'ledger'] : ['ledger', 'seed'];
  throw new ExitError(
    EXIT.refused,
    `data_dir: ${config.data_dir} has a ${have} but no ${lack}; restore the ${lack} from a backup, or begin in an empty directory`,
  );
}

/** A directory for one user only; one that exists keeps its mode. */
async function makePrivate(dir: string): Promise<void> {
  if (await exists(dir)) return;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
}

/** Writes a private file unless there is one. True if it was written. */
async function writeOnce(file: string, text: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true });
  try {
    await writeFile(file, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The list of relays that comes with the program. */
export const packagedRelays = (): Promise<string> =>
  readFile(new URL('../relays.json', import.meta.url), 'utf8');

async function confirm(io: CliIo, file: string): Promise<void> {
  if (!io.isTTY)
    throw new ExitError(EXIT.usage, 'init asks before it writes; add --yes where nobody can answer');
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      io.stderr.write(chunk.toString());
      done();
    },
  });
  const questions = createInterface({ input: io.stdin, output });
  // A closed input leaves the question unanswered for ever.
  const left = new Promise<string>((resolve) => questions.once('close', () => resolve('')));
  const answer = await Promise.race([questions.question(`Make a node described by ${file}? [y/N] `), left]);
  questions.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new ExitError(EXIT.error, 'nothing was written');
}
