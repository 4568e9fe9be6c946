/** Real mints as child processes on loopback: nutshell (Python) and cdk-mintd (Rust), each paying its own invoices. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../node-kit.ts';

const run = promisify(execFile);
const INPUT_FEE_PPK = 100;
/** Of a wallet that everybody knows; it signs play money. */
const WORDS = `${'abandon '.repeat(11)}about`;

export interface RealMint {
  name: string;
  url: string;
  stop: () => Promise<void>;
}

/** What is installed, and one line for each that is not. */
export function installedMints(): {
  nutshell: string | undefined;
  cdk: string | undefined;
  skipped: string[];
} {
  const inVenv = join(process.env['INTEROP_VENV'] ?? '', 'bin/mint');
  const nutshell = process.env['INTEROP_VENV'] && existsSync(inVenv) ? inVenv : undefined;
  const named = process.env['CDK_MINTD'];
  const places = (process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'cdk-mintd'));
  const cdk = (named ? [named] : places).find((path) => existsSync(path));
  return {
    nutshell,
    cdk,
    skipped: [
      ...(nutshell ? [] : ['nutshell skipped: INTEROP_VENV has no mint (pip install cashu==0.20.3 openai)']),
      ...(cdk
        ? []
        : [`cdk-mintd skipped: ${named ? 'CDK_MINTD is no file' : 'not on PATH, and no CDK_MINTD'}`]),
    ],
  };
}

export async function startNutshell(binary: string, dir: string): Promise<RealMint> {
  const port = await freePort();
  const child = spawn(binary, [], {
    cwd: dir,
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      HOME: dir,
      MINT_PRIVATE_KEY: 'interop',
      MINT_BACKEND_BOLT11_SAT: 'FakeWallet',
      MINT_DATABASE: join(dir, 'mint-db'),
      MINT_LISTEN_HOST: '127.0.0.1',
      MINT_LISTEN_PORT: String(port),
      MINT_INPUT_FEE_PPK: String(INPUT_FEE_PPK),
      MINT_RATE_LIMIT: 'FALSE',
      FAKEWALLET_BRR: 'TRUE',
      FAKEWALLET_DELAY_INCOMING_PAYMENT: '0',
      FAKEWALLET_DELAY_OUTGOING_PAYMENT: '0',
      TOR: 'FALSE',
    },
  });
  return upAndRunning('nutshell', child, port);
}

/** Since 0.18 it reads its settings from its own database, into which a file is imported once. */
export async function startCdk(binary: string, dir: string): Promise<RealMint> {
  const port = await freePort();
  const file = join(dir, 'cdk.toml');
  await writeFile(file, cdkSettings(port), { mode: 0o600 });
  const how = { cwd: dir, env: { PATH: process.env['PATH'], HOME: dir, CDK_MINTD_MNEMONIC: WORDS } };
  await run(binary, ['-w', dir, 'config', 'init', '--new-mint', '--file', file], how);
  return upAndRunning('cdk-mintd', spawn(binary, ['-w', dir], { ...how, stdio: 'ignore' }), port);
}

const cdkSettings = (port: number): string => `
[info]
url = "http://127.0.0.1:${port}"
listen_host = "127.0.0.1"
listen_port = ${port}
mnemonic = "env:CDK_MINTD_MNEMONIC"
input_fee_ppk = ${INPUT_FEE_PPK}
[database]
engine = "sqlite"
[payment_backend]
backend = "fakewallet"
[fake_wallet]
supported_units = ["sat"]
fee_percent = 0.02
reserve_fee_min = 1
min_delay_time = 0
max_delay_time = 0
`;

async function upAndRunning(name: string, child: ChildProcess, port: number): Promise<RealMint> {
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 240; tries++) {
    const up = await fetch(`${url}/v1/info`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (up) {
      const stop = async (): Promise<void> => {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await ended;
      };
      return { name, url, stop };
    }
    if (child.exitCode !== null) throw new Error(`${name} ended with code ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  child.kill('SIGKILL');
  throw new Error(`${name} did not start within a minute`);
}
