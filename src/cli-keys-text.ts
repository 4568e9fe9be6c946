/** How `keys` shows its results to people. */
import { list, table } from './cli-output.ts';
import type { MadeChildKeys, MadeKey, RevokedKey } from './node-keys-change.ts';
import type { KeyFacts, KeyList } from './node-keys.ts';

export function keyListText({ keys, total, balance_msat: balance }: KeyList): string {
  if (total === 0) return 'There is no key.';
  return [
    table(
      ['ID', 'KIND', 'BALANCE (MSAT)', 'SPENT (MSAT)', 'REQUESTS', 'LIMIT LEFT', 'ENDS'],
      keys.map((key) => [
        key.id,
        key.kind,
        // A child spends its parent's balance, which is counted there.
        key.kind === 'child' ? '' : key.balance_msat,
        key.spent_msat,
        key.requests,
        key.limit_left_msat ?? '',
        ends(key),
      ]),
    ),
    '',
    `${keys.length < total ? `${keys.length} of ${total}` : total} keys, ${balance} msat owed to them`,
  ].join('\n');
}

export const keyText = (key: KeyFacts): string =>
  list([
    ['id', key.id],
    ['kind', key.kind],
    ['balance', `${key.balance_msat} msat${key.kind === 'child' ? ", its parent's" : ''}`],
    ['held', `${key.held_msat} msat`],
    ['spent', `${key.spent_msat} msat in ${key.requests} requests`],
    ['made', date(key.created_at)],
    ['ends', ends(key) || 'never'],
    ...(key.limit_msat === undefined
      ? []
      : [
          [
            'limit',
            `${key.limit_msat} msat ${key.limit_reset ?? 'in all'}, ${key.limit_left_msat} left`,
          ] as const,
        ]),
    ...(key.mint === undefined ? [] : [['refunds at', `${key.mint} (${key.unit})`] as const]),
    ...(key.refund_address === undefined ? [] : [['refund address', key.refund_address] as const]),
    ...(key.child_keys === undefined ? [] : [['child keys', key.child_keys] as const]),
    ...(key.parent === undefined ? [] : [['parent', key.parent] as const]),
    ...(key.models === undefined ? [] : [['models', key.models.join(', ')] as const]),
  ]);

export function madeText(made: MadeKey | MadeChildKeys): string {
  if (!('keys' in made))
    return list([
      [made.dry_run ? 'would hold' : 'holds', `${made.balance_msat} msat`],
      ...(made.id === undefined ? [] : [['id', made.id] as const]),
      ...(made.api_key === undefined ? [] : [['key', made.api_key] as const]),
    ]);
  return list([
    ['parent', made.parent],
    [made.dry_run ? 'would cost' : 'cost', `${made.cost_msat} msat`],
    ['parent balance', `${made.parent_balance_msat} msat`],
    ...made.keys.map(({ id, api_key: key }) => [id, key] as const),
  ]);
}

export function revokedText({
  dry_run: dry,
  id,
  already,
  balance_msat,
  kind,
  child_keys,
}: RevokedKey): string {
  const ended = already ? 'had ended before' : dry ? 'would end' : 'ended';
  const rest =
    kind === 'child'
      ? 'nothing: its money is its parent\u2019s'
      : `${balance_msat} msat, for its holder to refund`;
  return list([
    [ended, id],
    ['left on it', rest],
    ...(child_keys === 0 ? [] : [['child keys', `${child_keys}, which end with it`] as const]),
  ]);
}

const ends = ({ expires_at: at, expired }: KeyFacts): string =>
  at === undefined ? '' : `${date(at)}${expired ? ' (ended)' : ''}`;
const date = (seconds: number): string => new Date(seconds * 1_000).toISOString();
