/** The listed mints as `doctor` sees them: each is asked as the node would ask it, and moves nothing. */
import { EXIT, NodeError } from './base/error.ts';
import { errorKind } from './base/log.ts';
import type { Config } from './config.ts';
import { type Check, type DoctorTools, about, spelled } from './doctor-check.ts';
import type { MintAnswer } from './wallet/mint-http.ts';
import { type Mint, createMints } from './wallet/mints.ts';

export async function examineMints(config: Config, { clock, log }: DoctorTools): Promise<Check[]> {
  const listed = config.mints.map(({ url, unit, allow_private }) => ({
    url,
    unit,
    allowPrivate: allow_private,
  }));
  // No memory: what counts is what the mint says now.
  const mints = createMints({ listed, memory: undefined, clock, log });
  try {
    const found = await Promise.all(mints.all().map(examineMint));
    return found.flat();
  } finally {
    mints.close();
  }
}

async function examineMint(mint: Mint): Promise<Check[]> {
  const { ok, warn, fail } = about('mint', mint.url);
  const info = await mint.client.get('/v1/info');
  if (info.kind !== 'ok') return [fail(EXIT.unreachable, spelled(reasonOf(info)), whatToDo(info))];
  try {
    await mint.keysets.load();
  } catch (error) {
    const why = error instanceof NodeError ? error.code : errorKind(error);
    return [
      fail(
        EXIT.unreachable,
        `it answers, but its keysets cannot be read (${why})`,
        'ask its operator, or list another',
      ),
    ];
  }
  if (mint.quarantined())
    return [
      fail(
        EXIT.error,
        'it contradicts itself about its keysets',
        'list another mint; take nothing new from this one',
      ),
    ];
  return mint.units.map((unit) => {
    const keyset = mint.keysets.active(unit);
    if (keyset !== undefined) {
      const fee = `unit ${unit}, keyset ${keyset.id}, input fee ${keyset.feePpk} ppk`;
      return ok(`answers as ${softwareOf(info.body)}: ${fee}`);
    }
    const expiring = mint.keysets.active(unit, { evenExpiring: true });
    return expiring === undefined
      ? fail(
          EXIT.error,
          `it has no usable active keyset in ${unit}`,
          'correct the unit of this mint, or list another',
        )
      : warn(
          `its only keyset in ${unit} expires within the hour`,
          'nothing is accepted until it has a new one',
        );
  });
}

function reasonOf(answer: Exclude<MintAnswer, { kind: 'ok' }>): string | undefined {
  switch (answer.kind) {
    case 'failed':
      return answer.reason;
    case 'refused':
      return 'http_400';
    case 'limited':
      return 'http_429';
    case 'closed':
      return 'timeout';
  }
}

function whatToDo(answer: MintAnswer): string {
  if (answer.kind === 'failed' && answer.reason === 'private_address')
    return 'add allow_private: true if this mint is your own';
  if (answer.kind === 'limited') return 'ask again in a minute';
  return 'correct its url, or ask its operator; its ecash cannot be accepted meanwhile';
}

/** Text of the mint itself; the terminal shows none of its control characters. */
function softwareOf(body: unknown): string {
  const { version } = body as { version?: unknown };
  return typeof version === 'string' && version !== '' ? version.slice(0, 60) : 'a mint';
}
