/** DmRefusal: a node's no over direct messages, for callers to whom an answer is what succeeded. */
import { parsed } from './channel.ts';
import { Refused, refusalOf } from './conversation.ts';
import type { DmAnswer } from './dm.ts';

/** Status, code and message are those of the envelope in docs/errors.md. */
export class DmRefusal extends Refused {
  readonly #answer: DmAnswer;
  constructor(answer: DmAnswer) {
    const { status, body } = answer;
    const { code, message } = refusalOf({ status, json: parsed(body.toString('utf8')) });
    super(status, code, message);
    this.name = 'DmRefusal';
    this.#answer = answer;
  }

  /** The whole of it: what was charged, and `change` of a token. No field, so that printing the error shows no money. */
  get answer(): DmAnswer {
    return this.#answer;
  }
}
