/** The relays as `doctor` sees them: who opens a connection, what each says of itself, and how its clock differs. */
import { EXIT } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import type { Config } from './config.ts';
import { type Check, type DoctorTools, about } from './doctor-check.ts';
import { dmRelays, isAnnounced } from './node-facts.ts';
import { fetchLimits } from './relay/information.ts';
import type { NodeKey, RelayConfig, RelayLimits, RelayStatus } from './relay/relay.ts';
import { createRelaySet } from './relay/set.ts';

interface Looked {
  url: string;
  open: boolean;
  /** NIP-11, and the time that its answer told; undefined where it does not answer over HTTP. */
  said: RelayLimits | undefined;
}

export async function examineRelays(
  config: Config,
  tools: DoctorTools,
  key: NodeKey | undefined,
): Promise<Check[]> {
  const looked = await look(config.relayList, tools, key);
  const isOpen = ({ url }: { url: string }): boolean => looked.some((one) => one.url === url && one.open);
  return [
    ...looked.map(relayCheck),
    ...announcement(config, config.relayList.filter(isOpen)),
    ...messages(config, dmRelays(config).filter(isOpen).length),
    clockCheck(looked, tools),
  ];
}

async function look(
  relays: readonly RelayConfig[],
  { clock, log }: DoctorTools,
  key: NodeKey | undefined,
): Promise<Looked[]> {
  const set = createRelaySet({ relays, clock, log, ...(key === undefined ? {} : { key }) });
  const done = new AbortController();
  try {
    set.start();
    const documents = relays.map(({ url }) => fetchLimits(url, { clock, signal: done.signal }));
    const tried = (one: RelayStatus): boolean => one.state === 'open' || one.state === 'waiting';
    const deadline = clock.monotonic() + LIMITS.doctor.relayMs;
    while (!set.status().every(tried) && clock.monotonic() < deadline)
      await clock.sleep(LIMITS.doctor.pollMs);
    const said = await Promise.all(documents);
    return set.status().map(({ url, state }, i) => ({ url, open: state === 'open', said: said[i] }));
  } finally {
    done.abort();
    await set.close();
  }
}

function relayCheck({ url, open, said }: Looked): Check {
  const { ok, warn } = about('relay', url);
  if (!open) return warn('no connection', 'correct its url, or take it out of relays.json if it stays away');
  const { clockAheadMs: _time, ...limits } = said ?? {};
  if (Object.keys(limits).length === 0) return ok('open; it tells no limits (NIP-11)');
  const { messageBytes } = limits;
  return ok(
    messageBytes === undefined
      ? 'open; it tells its limits'
      : `open; it takes messages of ${messageBytes} bytes`,
  );
}

/** One relay is enough to be found; below two, that is one accident away from none. */
function announcement(config: Config, open: readonly RelayConfig[]): Check[] {
  const { ok, warn, fail } = about('announcement');
  if (!isAnnounced(config)) {
    const why = config.announce.enabled
      ? 'the node is not announced: it has no public URL and no relay for messages, or no relay to be announced on'
      : 'announce.enabled is false: buyers must know the address of the node';
    return [
      config.announce.enabled ? warn(why, 'set public_urls, and give relays the role announce') : ok(why),
    ];
  }
  const takers = open.filter(({ roles }) => roles.includes('announce')).length;
  if (takers === 0)
    return [
      fail(EXIT.unreachable, 'no relay for announcements is open', 'add relays that answer to relays.json'),
    ];
  return [
    takers === 1
      ? warn(
          'only one relay for announcements is open',
          'add another, so that buyers find the node without it',
        )
      : ok(`${takers} relays for announcements are open`),
  ];
}

function messages(config: Config, open: number): Check[] {
  if (dmRelays(config).length === 0 || open > 0) return [];
  const { warn, fail } = about('relay');
  const says = 'no relay for encrypted messages is open';
  const next = 'add relays with the roles dm and rpc that answer to relays.json';
  return [config.public_urls.length > 0 ? warn(says, next) : fail(EXIT.unreachable, says, next)];
}

/** The middle of what the relays say: one of them may be wrong itself. */
function clockCheck(looked: readonly Looked[], { clock }: DoctorTools): Check {
  const { ok, warn, fail } = about('clock');
  const ahead = looked.flatMap(({ said }) => said?.clockAheadMs ?? []).sort((a, b) => a - b);
  const now = new Date(clock.now()).toISOString();
  const middle = ahead[ahead.length >> 1];
  if (middle === undefined)
    return warn(`it is ${now} here; no relay told its time`, 'compare it with a clock');
  const seconds = Math.abs(Math.round(middle / 1000));
  const says = `it is ${now} here, ${seconds} s ${middle > 0 ? 'behind' : 'ahead of'} ${ahead.length === 1 ? 'the relay' : `${ahead.length} relays`}`;
  if (Math.abs(middle) <= LIMITS.announce.clockOffMsMax) return ok(says);
  const next = 'set the clock (NTP): relays and buyers refuse what is signed at a wrong time';
  return ahead.length < 2 ? warn(says, next) : fail(EXIT.error, says, next);
}
