/** Doctor: everything that an operator wants to know before `start`, looked at in one go. Nothing is changed or paid. */
import { EXIT } from './base/error.ts';
import type { Config } from './config.ts';
import { examineBooks } from './doctor-books.ts';
import { type Check, type DoctorTools, about } from './doctor-check.ts';
import { examineMints } from './doctor-mints.ts';
import { examinePlace } from './doctor-place.ts';
import { examineRelays } from './doctor-relays.ts';
import { examineRate, examineUpstreams } from './doctor-upstreams.ts';
import { RELEASED_AT } from './version.ts';

/** Own files first, then the machine, then the network; each group in the order of the configuration. */
export async function examine(config: Config, tools: DoctorTools): Promise<Check[]> {
  const books = await examineBooks(config, tools);
  const { secrets, held } = books;
  const [place, mints, rate, upstreams, relays] = await Promise.all([
    examinePlace(config, { npub: secrets?.key.npub, held }),
    examineMints(config, tools),
    examineRate(config, tools),
    examineUpstreams(config, tools),
    examineRelays(config, tools, secrets?.key),
  ]);
  return [...books.checks, ...place.checks, ...mints, rate, ...upstreams, ...relays, ...ancient(tools)];
}

/** `start` refuses such a clock. */
function ancient({ clock }: DoctorTools): Check[] {
  if (clock.now() >= RELEASED_AT) return [];
  const says = 'the clock of this machine shows a time before this release';
  return [about('clock').fail(EXIT.refused, says, 'set the clock')];
}
