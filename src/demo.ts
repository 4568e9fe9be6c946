/** The demo: announce, be discovered, be paid four ways, over HTTP and over direct messages, and show that not one msat went astray. */
import { NodeError } from './base/error.ts';
import { silentLogger } from './base/log.ts';
import { systemClock } from './base/time.ts';
import { type Provider, discover } from './client/discover.ts';
import { type PaidStep, QUESTION, createBuyer, tellStory, walletInfo } from './demo/buyer.ts';
import { payByMessage } from './demo-dm.ts';
import { DEMO_MODELS, type World, createWorld } from './demo-world.ts';

export interface DemoOptions {
  /** Ends after the story instead of staying up. */
  once: boolean;
  /** One JSON object at the end instead of lines. */
  json: boolean;
  port?: number;
  print: (line: string) => void;
  signal: AbortSignal;
}

/** `routstr-node demo --once --json`. All amounts in msat but for `change_sats`. */
export interface DemoSummary {
  node: { url: string; npub: string };
  /** Relays that took the announcement. */
  announced: number;
  /** Providers that a buyer found on the relay. */
  discovered: number;
  paid: Omit<PaidStep, 'text'>[];
  drift_msat: number;
  ms: number;
}

/** Returns the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const started = performance.now();
  const say = options.json ? () => undefined : options.print;
  const world = await createWorld({
    log: silentLogger,
    ...(options.port === undefined ? {} : { port: options.port }),
  });
  try {
    say(`relay       ${world.relay.url}`);
    say(`mint        ${world.mint.url}   play money, worth nothing`);
    say(`model       ${DEMO_MODELS.join(', ')}`);
    say(`node        ${world.node.url}   ${world.node.npub}`);
    const { summary, apiKey } = await play(world, say, started);
    if (options.json) options.print(JSON.stringify(options.once ? summary : { ...summary, api_key: apiKey }));
    else say(`books       drift ${summary.drift_msat} msat, ${summary.ms} ms in all`);
    if (!options.once) await stayUp(world, apiKey, options);
    return summary.drift_msat === 0 ? 0 : 1;
  } finally {
    await world.close();
  }
}

async function play(
  world: World,
  say: (line: string) => void,
  started: number,
): Promise<{ summary: DemoSummary; apiKey: string }> {
  const model = DEMO_MODELS[0] as string;
  const { provider, providers } = await findProvider(world, model);
  say(`announced   on ${world.node.announced()} relay`);
  say(`discovered  ${provider.name} at ${provider.urls[0]}, key bound to the announcement`);

  const buyer = await createBuyer({ mintUrl: world.mint.url });
  const { paid, apiKey } = await tellStory({
    url: provider.urls[0] as string,
    model,
    buyer,
    onStep: (step) => say(told(step)),
  });
  const byMessage = await payByMessage({
    relays: world.config.relayList,
    provider,
    model,
    question: QUESTION,
    token: await buyer.mint(100),
  });
  say(`${told(byMessage)}   over encrypted messages only`);
  paid.push(byMessage);
  const summary: DemoSummary = {
    node: { url: world.node.url, npub: world.node.npub },
    announced: world.node.announced(),
    discovered: providers,
    paid: paid.map(({ text: _text, ...step }) => step),
    drift_msat: world.node.totals().drift,
    ms: Math.round(performance.now() - started),
  };
  return { summary, apiKey };
}

const told = ({ how, cost_msats, change_sats, text }: PaidStep): string => {
  const change = change_sats ? `, change ${change_sats} sat` : '';
  return `paid        ${how.padEnd(12)} ${cost_msats} msat${change}   "${text.slice(0, 40)}"`;
};

/** Finds the node as a stranger would: by its announcement on the relay. */
async function findProvider(world: World, model: string): Promise<{ provider: Provider; providers: number }> {
  for (let tries = 0; tries < 20; tries++) {
    const providers = await discover({
      relays: world.config.relayList,
      model,
      allowPrivate: true,
      clock: systemClock,
      log: silentLogger,
    });
    const provider = providers.find(({ npub, bound }) => bound && npub === world.node.npub);
    if (provider?.urls[0] !== undefined) return { provider, providers: providers.length };
    await systemClock.sleep(100);
  }
  throw new NodeError('internal_error', 'The node was not found on its own relay.');
}

async function stayUp(world: World, apiKey: string, options: DemoOptions): Promise<void> {
  const { url } = world.node;
  if (!options.json) {
    const { balance } = await walletInfo(url, apiKey);
    for (const line of copyPaste(url, apiKey, DEMO_MODELS[0] as string, balance)) options.print(line);
    for (const line of byMessageLines(world)) options.print(line);
  }
  await new Promise<void>((resolve) => {
    if (options.signal.aborted) resolve();
    else options.signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const copyPaste = (url: string, key: string, model: string, balance: number): string[] => [
  '',
  `Base URL    ${url}/v1`,
  `API key     ${key}   (${balance} msat)`,
  '',
  'curl:',
  `  curl -s ${url}/v1/chat/completions -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' \\`,
  `    -d '{"model":"${model}","messages":[{"role":"user","content":"Hello"}]}'`,
  '',
  'Python:',
  '  from openai import OpenAI',
  `  client = OpenAI(base_url="${url}/v1", api_key="${key}")`,
  `  print(client.chat.completions.create(model="${model}", messages=[{"role": "user", "content": "Hello"}]))`,
  '',
  'JavaScript:',
  "  import OpenAI from 'openai';",
  `  const client = new OpenAI({ baseURL: '${url}/v1', apiKey: '${key}' });`,
  `  console.log(await client.chat.completions.create({ model: '${model}', messages: [{ role: 'user', content: 'Hello' }] }));`,
];

/** `node dist/main.js` is what `npm run demo` itself runs. */
const byMessageLines = ({ node, relay }: World): string[] => [
  '',
  'Without the URL, over encrypted messages (in another terminal):',
  `  node dist/main.js proxy --dm ${node.npub} --relay ${relay.url}`,
  '  then the lines above with http://127.0.0.1:8008/v1 as base URL',
  '',
  'Ctrl-C ends the demo and leaves nothing behind.',
];
