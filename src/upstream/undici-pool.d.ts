/** The pool of undici without the rest of it, which has types for the whole only. */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export default Pool;
}
