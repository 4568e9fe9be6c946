/** Payer: a credential becomes an account that can be held against; tokens are deposited on the way. */
import { NodeError, invariant } from '../base/error.ts';
import { type AccountId, accountOfKey, accountOfPubkey, hmacHex, sha256Hex } from '../base/id.ts';
import { type Msat, ZERO, satCeil, unitToMsat } from '../base/money.ts';
import type { Secret } from '../base/secret.ts';
import { looksLikeToken, tokenTextHash } from '../base/token-text.ts';
import type { Account, Ledger, ReceiveOperation } from '../ledger/ledger.ts';
import type { TokenInfo, Wallet } from '../wallet/wallet.ts';
import type { Beneficiary, Deposits } from './deposit.ts';
import { tokenSpent } from './deposit-refusal.ts';
import type { JunkLimit } from './rate.ts';
import type { Credential, Payer } from './request.ts';
import { acceptedMints } from './shelves.ts';

export type Creation = Pick<Beneficiary, 'terms' | 'idempotency'>;

export interface Payers {
  /**
   * `atLeast`: what the token must be worth for this request, checked before anything is redeemed. `most`: what an
   * answer that is not cut short may cost; asked for where nothing was offered, because the rest comes back.
   * Throws NodeError payment_required, invalid_api_key, insufficient_balance, and what a deposit throws.
   */
  resolve: (
    credential: Credential | undefined,
    atLeast: () => Msat,
    most?: () => Msat,
  ) => Payer | Promise<Payer>;
  /**
   * Account of a kept credential for the balance routes; an unseen token is redeemed, under these terms. That of a
   * public key exists from its first deposit on, and may not yet.
   */
  account: (credential: Credential, creation?: Creation) => Promise<AccountId>;
  /** The same without ever redeeming anything. Throws invalid_api_key, rate_limited. */
  known: (credential: Credential) => AccountId;
  /** `sk-` key of a token: derived with a secret of this node, so neither mint nor earlier holder can know it. */
  keyOfToken: (info: TokenInfo) => string;
}

/** Credentials whose account can be topped up by an invoice. */
export type TopUpCredential = Extract<Credential, { kind: 'key' | 'pubkey' }>;
type KeyCredential = Extract<Credential, { kind: 'key' }>;
export type PubkeyCredential = Extract<Credential, { kind: 'pubkey' }>;
type TokenCredential = Extract<Credential, { kind: 'token' }>;

const DEAD_KEY_MESSAGE =
  'Key not found: this API key is unknown here, or its proofs already spent. Create a new key with a fresh token.';

const KEY_PATTERN = /^sk-[0-9a-f]{64}$/;

export function createPayers(parts: {
  ledger: Ledger;
  wallet: Wallet;
  deposits: Deposits;
  keySecret: Secret<Uint8Array>;
  junk: JunkLimit;
}): Payers {
  const { ledger, wallet, deposits, keySecret, junk } = parts;

  const keyOfClaims = (claims: readonly string[]): string =>
    `sk-${hmacHex(keySecret.reveal(), `key:${claims.join(',')}`)}`;
  const oneShotAccount = (claims: readonly string[]): AccountId =>
    sha256Hex(`pay:${claims.join(',')}`) as AccountId;

  function accountOfApiKey(credential: KeyCredential): AccountId {
    const key = credential.key.reveal();
    const id = KEY_PATTERN.test(key) ? accountOfKey(key) : undefined;
    if (id !== undefined && ledger.account(id)?.kind === 'key') return id;
    const presenter = { source: credential.source?.() };
    junk.admit(presenter);
    junk.refused(presenter);
    if (id !== undefined) throw deadKey();
    throw new NodeError(
      'invalid_api_key',
      "Invalid API key format. Expected an 'sk-...' API key or a 'cashu...' token.",
    );
  }

  function accountOfNpub({ pubkey }: PubkeyCredential): AccountId {
    invariant(/^[0-9a-f]{64}$/.test(pubkey), 'a public key is 64 hex digits');
    return accountOfPubkey(pubkey);
  }

  /** The account of a token presented as a bearer: the one it was deposited to, whoever asks with the same text. */
  async function keptToken(
    { token, source }: TokenCredential,
    atLeast: () => Msat,
    creation: Creation = {},
  ): Promise<AccountId> {
    const text = token.reveal();
    const known = ledger.operationOfText(tokenTextHash(text));
    if (known?.state === 'done') {
      // Done in memory may not be on disk yet, and nobody is told of a balance that a crash could take back.
      await ledger.completeReceive(known.id, [], known.plan).durable;
      return kept(known).account;
    }
    const info = wallet.inspect(text);
    requireFace(wallet, info, atLeast());
    const account = accountOfKey(keyOfClaims(info.claims));
    const to = { account, accountKind: 'key', purpose: 'create', ...creation } as const;
    const { operation } = await deposits.deposit(info, to, source?.());
    return operation.account;
  }

  function kept(operation: ReceiveOperation): ReceiveOperation {
    if (operation.purpose !== 'create') throw tokenSpent();
    return operation;
  }

  async function payerOfToken(credential: TokenCredential, atLeast: () => Msat): Promise<Payer> {
    const text = credential.token.reveal();
    if (credential.remainder === 'keep')
      return { account: await keptToken(credential, atLeast), remainder: 'keep' };
    if (!looksLikeToken(text))
      throw new NodeError('invalid_cashu_token', 'The X-Cashu header holds no Cashu token.');
    const before = ledger.operationOfText(tokenTextHash(text));
    if (before && before.state === 'done') {
      if (!isUnused(ledger, before)) throw spentOnce(ledger, before);
      // Credited after its client was told to send it again: it has paid for nothing yet.
      await ledger.completeReceive(before.id, [], before.plan).durable;
      return { account: before.account, remainder: 'return' };
    }
    const info = wallet.inspect(text);
    requireFace(wallet, info, atLeast());
    const account = oneShotAccount(info.claims);
    const to = { account, accountKind: 'token', purpose: 'pay' } as const;
    const { operation } = await deposits.deposit(info, to, credential.source?.());
    return { account: operation.account, remainder: 'return' };
  }

  return {
    // Only a token takes time.
    resolve: (credential, atLeast, most = atLeast) => {
      if (!credential) throw paymentRequired(wallet, atLeast(), most());
      if (credential.kind === 'token') return payerOfToken(credential, atLeast);
      if (credential.kind === 'key') return { account: accountOfApiKey(credential), remainder: 'keep' };
      const account = accountOfNpub(credential);
      if (ledger.account(account) === undefined) throw paymentRequired(wallet, atLeast(), most());
      return { account, remainder: 'keep' };
    },
    account: async (credential, creation) => {
      if (credential.kind === 'key') return accountOfApiKey(credential);
      if (credential.kind === 'pubkey') return accountOfNpub(credential);
      return keptToken(credential, () => ZERO, creation);
    },
    known: (credential) => {
      if (credential.kind === 'key') return accountOfApiKey(credential);
      if (credential.kind === 'pubkey') return accountOfNpub(credential);
      const operation = ledger.operationOfText(tokenTextHash(credential.token.reveal()));
      const purpose = credential.remainder === 'return' ? 'pay' : 'create';
      if (operation?.purpose !== purpose) throw deadKey();
      return operation.account;
    },
    keyOfToken: (info) => keyOfClaims(info.claims),
  };
}

/** What a public key has before its first deposit. */
export const unopened = (id: AccountId): Account => ({
  id,
  kind: 'key',
  available: ZERO,
  held: ZERO,
  totalRequests: 0,
  totalSpent: ZERO,
  createdAt: 0,
  mint: '',
  unit: 'sat',
});

export const deadKey = (): NodeError => new NodeError('invalid_api_key', DEAD_KEY_MESSAGE);

/** A one-shot payment that no request has taken anything of, and that was not given back either. */
function isUnused(ledger: Ledger, { account: id, purpose, plan, unit }: ReceiveOperation): boolean {
  const account = ledger.account(id);
  if (purpose !== 'pay' || account?.kind !== 'token') return false;
  const credited = unitToMsat(
    plan.amounts.reduce((sum, amount) => sum + amount, 0),
    unit,
  );
  return account.available === credited && account.totalRequests === 0 && account.lastRefund === undefined;
}

/** A one-shot payment that was answered before: the token is gone, but its change may still wait. */
export function spentOnce(ledger: Ledger, operation: ReceiveOperation | undefined): NodeError {
  const account = operation && ledger.account(operation.account);
  const available = account?.kind === 'token' && (account.available >= 1 || account.lastRefund !== undefined);
  return tokenSpent({ refund_available: available });
}

function requireFace(wallet: Wallet, info: TokenInfo, atLeast: Msat): void {
  if (info.face >= atLeast) return;
  throw new NodeError(
    'insufficient_balance',
    `Insufficient credits. Insufficient balance: ${atLeast} mSats required. ${info.face} available. The token was not redeemed.`,
    {
      metadata: {
        reason: 'Insufficient balance',
        required_msats: atLeast,
        available_msats: info.face,
        max_affordable_tokens: 0,
        accepted_mints: acceptedMints(wallet),
        amount_required_msat: atLeast,
      },
    },
  );
}

function paymentRequired(wallet: Wallet, atLeast: Msat, most: Msat): NodeError {
  return new NodeError(
    'payment_required',
    `Payment required (Insufficient credits: none were offered): up to ${most} mSats, of which the rest comes back; at least ${atLeast}. Send an API key (Authorization: Bearer sk-…) or ecash (X-Cashu: cashuB…).`,
    {
      metadata: {
        required_msats: atLeast,
        max_cost_msats: most,
        required_sats: satCeil(most),
        available_msats: 0,
        max_affordable_tokens: 0,
        accepted_mints: acceptedMints(wallet),
        payment_request: wallet.paymentRequest(most),
      },
    },
  );
}
