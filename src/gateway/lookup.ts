/** Look-ups with the credential that paid: one operation, one request, the history of an account. */
import { NodeError } from '../base/error.ts';
import type { OperationId, RequestId } from '../base/id.ts';
import type { Charge, HistoryCursor, HistoryLine } from '../ledger/history.ts';
import type { Ledger, Operation } from '../ledger/ledger.ts';
import { requireParent } from './child-keys.ts';
import type { Driver } from './drive.ts';
import type { Payers } from './payer.ts';
import type { Credential } from './request.ts';

export type { HistoryCursor, HistoryLine } from '../ledger/history.ts';

export interface OperationView {
  operation: Operation;
  /** `recovering`: its mint was asked before and gave no clear answer; it is being asked again. */
  status: 'pending' | 'recovering' | 'done' | 'failed' | 'blocked';
}

/** None of them ever redeems a token or tells whether somebody else's id exists. */
export interface LookUps {
  /** Throws not_found. */
  operation: (credential: Credential, id: string) => Promise<OperationView>;
  /** Cost of one paid request. Throws not_found. */
  generation: (credential: Credential, id: string) => Promise<Charge>;
  /** Throws child_key_not_allowed. */
  history: (
    credential: Credential,
    page: { limit: number; from?: HistoryCursor },
  ) => Promise<{ lines: HistoryLine[]; next?: HistoryCursor }>;
}

export function createLookUps(parts: { ledger: Ledger; payers: Payers; driver: Driver }): LookUps {
  const { ledger, payers, driver } = parts;

  function statusOf({ id, state }: Operation): OperationView['status'] {
    if (state !== 'executing') return state;
    return driver.attempt(id) === 0 ? 'pending' : 'recovering';
  }

  return {
    operation: async (credential, id) => {
      const account = payers.known(credential);
      const operation = /^op_[0-9a-f]{32}$/.test(id) ? ledger.operation(id as OperationId) : undefined;
      if (operation?.account !== account)
        throw new NodeError('not_found', 'There is no such operation of this credential.');
      const view = { operation, status: statusOf(operation) };
      // What is told must hold after a crash.
      await ledger.flushed();
      return view;
    },
    generation: async (credential, id) => {
      const account = payers.known(credential);
      const charge = /^req_[0-9a-f]{24}$/.test(id)
        ? await ledger.charge(account, id as RequestId)
        : undefined;
      if (charge) return charge;
      throw new NodeError(
        'not_found',
        'No charge for this request is among the latest of this credential. What failed before its first byte costs nothing.',
      );
    },
    history: async (credential, page) => {
      const account = payers.known(credential);
      requireParent(ledger.account(account));
      return ledger.history(account, page);
    },
  };
}
