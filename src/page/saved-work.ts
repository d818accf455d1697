/** Work that outlives the page, in the browser's own database (IndexedDB): nothing of it leaves the machine. */

const STORE = 'work';

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('gvsl', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('another tab holds it'));
  });
}

async function within<Result>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<Result> | undefined,
): Promise<Result | undefined> {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

export const isOutOfRoom = (error: unknown): boolean => (error as DOMException).name === 'QuotaExceededError';

/** What went wrong, and what to do about it. */
export function savingTrouble(error: unknown): string {
  const { name, message } = error as DOMException;
  if (isOutOfRoom(error))
    return 'This browser has no room left to keep the work for a reload (its storage is full). Save strokes and model as files, or free storage of this site.';
  return `This browser keeps no work for a reload (${message || name}). Save strokes and model as files.`;
}

/** Keeps a value under a name. @throws DOMException, as `savingTrouble` explains */
export async function keepWork(name: string, value: unknown): Promise<void> {
  await within('readwrite', (store) => void store.put(value, name));
}

/** What was kept under a name; undefined if nothing was, or the browser has no database. */
export async function keptWork(name: string): Promise<unknown> {
  try {
    return await within('readonly', (store) => store.get(name));
  } catch {
    return undefined;
  }
}

/** The names under which something is kept; none without a database. */
export async function keptNames(): Promise<readonly string[]> {
  try {
    return ((await within('readonly', (store) => store.getAllKeys())) ?? []).map(String);
  } catch {
    return [];
  }
}

/** Forgets what was kept under names. */
export async function forgetWork(...names: readonly string[]): Promise<void> {
  await within('readwrite', (store) => {
    for (const name of names) store.delete(name);
    return undefined;
  }).catch(() => {});
}
