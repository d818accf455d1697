/**
 * Everything that computes, in a worker of its own: the page stays alive, and kernels may wait for threads. What it does is in parts, one a
 * file; the page calls them through Comlink as one object.
 */
import * as Comlink from 'comlink';
import { type Devices, describeDevices } from '../../platform/browser/backends.ts';
import { applyPart } from './apply.ts';
import { placeCodecs } from './codecs.ts';
import { comparePart } from './compare.ts';
import { fineTunePart } from './fine-tune.ts';
import { labelsPart } from './labels.ts';
import { memoryPart } from './memory.ts';
import { openPart } from './open.ts';
import { registerPart } from './register.ts';
import { ComputeState } from './state.ts';
import { teachPart } from './teach.ts';
import { trainPart } from './train.ts';

placeCodecs();
const state = new ComputeState();

const api = {
  devices: (): Promise<Devices> => describeDevices(),
  /** Ends the work after the window, tile or graph that is under way: its call then fails with an AbortError. */
  stop: (): void => state.stop(),
  ...openPart(state),
  ...memoryPart(state),
  ...applyPart(state),
  ...registerPart(state),
  ...comparePart(state),
  ...teachPart(state),
  ...labelsPart(state),
  ...fineTunePart(state),
  ...trainPart(state),
};

export type ComputeApi = typeof api;

Comlink.expose(api);
