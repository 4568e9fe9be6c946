/** Version of this program, as clients see it. Never begins with `0.1.`: old Routstr clients treat that specially. */
export const VERSION = '1.0.0';

/** No clock that shows an earlier time (Unix milliseconds) is right. */
export const RELEASED_AT = Date.UTC(2025, 8, 1);
