/** Models and prices as the columns inside an announcement: integers only, msat per 1,000,000 tokens. */
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat, ZERO } from '../base/money.ts';
import type { AnnouncedModel } from './announcement.ts';

type Row = readonly [id: string, input: number, output: number, ctx: number, maxOut: number, io: string];

export interface ModelTable {
  header: { unit: 'msat'; per: number; fields: readonly string[] };
  /** All rows; their hash lets a reader see that its copy of the full list is stale. */
  rows: readonly Row[];
  /** The longest head of the rows that takes no more bytes inside an event. */
  fitting: (bytesMax: number) => readonly Row[];
}

const PER = 1_000_000;
const FIELDS = ['id', 'in', 'out', 'ctx', 'max_out', 'io'] as const;

export function modelTable(models: readonly AnnouncedModel[]): ModelTable {
  const rows = models.map((m): Row => [
    m.id,
    Math.ceil(m.in),
    Math.ceil(m.out),
    Math.ceil(m.ctx),
    Math.ceil(m.maxOut),
    m.io,
  ]);
  return {
    header: { unit: 'msat', per: PER, fields: FIELDS },
    rows,
    fitting: (bytesMax) => {
      let used = 0;
      const end = rows.findIndex((row) => {
        used += bytesInside(row) + 1;
        return used > bytesMax;
      });
      return end === -1 ? rows : rows.slice(0, end);
    },
  };
}

/** Reads columns by the names in `fields`; unknown columns are skipped, rows that make no sense too. */
export function readModelTable(content: Readonly<Record<string, unknown>>): {
  models: AnnouncedModel[];
  requestMsat: Msat;
  minimumMsat: Msat;
} {
  const fees = {
    requestMsat: amount(content['req_msat']) ?? ZERO,
    minimumMsat: amount(content['min_msat']) ?? ZERO,
  };
  const { fields, models: rows, unit, per } = content;
  // Prices in a unit we do not know are worse than none.
  if (!Array.isArray(fields) || !Array.isArray(rows) || unit !== 'msat' || per !== PER)
    return { models: [], ...fees };
  const columns = new Map<unknown, number>(fields.map((name: unknown, index) => [name, index]));
  const models = rows.slice(0, LIMITS.announce.modelsReadMax).flatMap((row: unknown): AnnouncedModel[] => {
    if (!Array.isArray(row)) return [];
    const cell = (name: (typeof FIELDS)[number]): unknown => row[columns.get(name) ?? -1];
    const id = cell('id');
    const input = amount(cell('in'));
    const output = amount(cell('out'));
    const io = cell('io');
    if (typeof id !== 'string' || id === '' || id.length > LIMITS.json.modelIdCharsMax) return [];
    if (input === undefined || output === undefined) return [];
    return [
      {
        id,
        in: input,
        out: output,
        ctx: amount(cell('ctx')) ?? 0,
        maxOut: amount(cell('max_out')) ?? 0,
        io: typeof io === 'string' ? io.slice(0, 16) : '',
      },
    ];
  });
  return { models, ...fees };
}

/** The content is a JSON string inside a JSON event, so its quotes are escaped once more. */
const bytesInside = (row: Row): number =>
  new TextEncoder().encode(JSON.stringify(JSON.stringify(row))).length - 2;

function amount(value: unknown): Msat | undefined {
  if (typeof value !== 'number' || value < 0) return undefined;
  const whole = Math.ceil(value);
  return whole <= LIMITS.announce.msatMax ? msat(whole) : undefined;
}
