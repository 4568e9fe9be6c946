/** A map that keeps what was used last. */
export interface Recent<Value> {
  get: (key: string) => Value | undefined;
  set: (key: string, value: Value) => void;
}

/** @param dropped is called with what makes room for others. */
export function createRecent<Value>(max: number, dropped?: (value: Value) => void): Recent<Value> {
  const rows = new Map<string, Value>();
  return {
    get: (key) => {
      const value = rows.get(key);
      if (value === undefined) return undefined;
      rows.delete(key);
      rows.set(key, value);
      return value;
    },
    set: (key, value) => {
      rows.delete(key);
      rows.set(key, value);
      if (rows.size <= max) return;
      const [oldest] = rows;
      if (oldest === undefined) return;
      rows.delete(oldest[0]);
      dropped?.(oldest[1]);
    },
  };
}
