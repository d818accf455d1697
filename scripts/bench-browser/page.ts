/** Hands what `bench-browser.mjs` asks for to a worker: gvsl's CPU backend waits for its threads, which a page's own thread may not. */

Object.assign(globalThis, {
  bench: (request: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
      worker.onmessage = ({ data }) => {
        worker.terminate();
        if (data.error === undefined) resolve(data.result);
        else reject(new Error(data.error));
      };
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(request);
    }),
});
