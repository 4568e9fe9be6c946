/** What the command line prints: tables for people at a terminal, JSON for everything else. */

export interface Output {
  /** True where a program reads: in a pipe, or with --json. */
  readonly json: boolean;
  /** One result: JSON for programs, `text` for people. */
  result: (value: unknown, text: () => string) => void;
  /** A remark for people only, on stderr so that results stay clean. */
  note: (text: string) => void;
}

export interface Sink {
  write: (text: string) => unknown;
}

export function createOutput(options: { stdout: Sink; stderr: Sink; isTTY: boolean; json: boolean }): Output {
  const json = options.json || !options.isTTY;
  return {
    json,
    result: (value, text) => {
      const shown = json ? JSON.stringify(value, null, options.isTTY ? 2 : undefined) : text();
      options.stdout.write(`${shown}\n`);
    },
    note: (text) => {
      if (!json && text !== '') options.stderr.write(`${text}\n`);
    },
  };
}

/** Columns as wide as their longest cell; numbers stand right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => String(row[i] ?? '').length)),
  );
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, i) => {
        const width = widths[i] ?? 0;
        return typeof cell === 'number' ? String(cell).padStart(width) : printable(cell).padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

/** `key  value` lines. */
export function list(entries: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(0, ...entries.map(([key]) => key.length));
  return entries.map(([key, value]) => `${key.padEnd(width)}  ${printable(String(value))}`).join('\n');
}

/** Text from outside may carry terminal escapes; none of them reaches the terminal. */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, '\u00b7');
