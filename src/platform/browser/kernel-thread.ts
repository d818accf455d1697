/** A thread of the CPU backend in a browser. */
import { serveKernels, type ThreadOptions } from '../../engine/backends/cpu/threads.ts';

self.onmessage = ({ data }: MessageEvent<ThreadOptions>): void => serveKernels(data, () => self.postMessage('ready'));
