/** MintRefusal: what a mint answers as `400 {code, detail}` (error codes of the NUTs). */
export class MintRefusal extends Error {
  readonly code: number;
  constructor(code: number, detail: string, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'MintRefusal';
    this.code = code;
  }
}
