/** Storage: where a ledger lives. On the disk of this machine, unless a simulation brings its own. */
import { existsSync } from 'node:fs';
import { type WitnessReport, readWitness } from './audit-witness.ts';
import { dropBallast, hasRoom, layBallast } from './ballast.ts';
import { type Database, databasePath, openDatabase } from './database.ts';
import type { Anchors } from './genesis.ts';
import type { Head } from './head.ts';
import type { Group } from './journal.ts';
import { type Lock, lockLedgerId, takeLock } from './lock.ts';
import { type Place, type Witness, compareHead, compareMirror, openWitness, redo } from './witness.ts';

export interface Storage {
  takeLock: (dir: string) => Promise<Lock>;
  lockLedgerId: (id: string) => Promise<Lock>;
  openDatabase: (dir: string) => Promise<Database>;
  /** Compares the journal with what stands beside it; `apply` gets the one group that only the mirror has. */
  openWitness: (
    db: Database,
    anchors: Anchors,
    head: Head,
    place: Place,
    apply: (group: Group) => void,
  ) => Promise<Witness>;
  /** Compares without changing anything; throws ExitError 78 for what contradicts the journal. */
  readWitness: (
    db: Database,
    anchors: Anchors,
    end: Head,
    place: Pick<Place, 'dir' | 'mirror'>,
  ) => Promise<WitnessReport>;
  /** Frees what was kept back for a full disk. */
  makeRoom: (dir: string) => Promise<void>;
  /** False while a volume is full or not mounted. */
  canOpen: (dir: string, mirror: string | undefined) => Promise<boolean>;
}

export const onDisk: Storage = {
  takeLock,
  lockLedgerId,
  openDatabase,
  openWitness: async (db, anchors, head, place, apply) => {
    const { dir, mirror } = place;
    const mirrored = mirror === undefined ? undefined : await compareMirror(db, anchors, head, mirror);
    if (mirrored?.ahead) {
      await redo(db, mirrored.ahead);
      apply(mirrored.ahead.group);
    }
    await compareHead(db, anchors, head, dir);
    await layBallast(dir);
    return openWitness(db, anchors, head, { ...place, tail: mirrored?.tail });
  },
  readWitness,
  makeRoom: dropBallast,
  canOpen: async (dir, mirror) => {
    const room = await Promise.all((mirror === undefined ? [dir] : [dir, mirror]).map(hasRoom));
    // A volume that is not mounted comes back; it is not a ledger that was lost.
    return !room.includes(false) && existsSync(databasePath(dir));
  },
};
