import type { Niivue } from '@niivue/niivue';

/** Texture unit of the smoothed image from which NiiVue takes gradients, and that of the gradients. */
const [SMOOTHED, GRADIENTS] = [33992, 33990];

/**
 * Keeps NiiVue from computing every image's gradients anew whenever something of what is shown changes. They are for shaded renderings, which the page has not,
 * and take twice the memory of the image's colours: without a GPU, a scan of 512 x 512 x 300 voxels takes a minute for them. Once it is attached.
 */
export function withoutGradients(niivue: Niivue): void {
  const { gl } = niivue;
  /** Whether a layer is being refreshed, and whether what is computed of it now are gradients. */
  let isRefreshing = false;
  let isSkipping = false;
  const unlessSkipping = <Args extends unknown[], Result>(call: (...args: Args) => Result, instead: Result) =>
    function (this: unknown, ...args: Args): Result {
      return isSkipping ? instead : call.apply(this, args);
    };
  gl.drawArrays = unlessSkipping(gl.drawArrays, undefined);
  gl.framebufferTextureLayer = unlessSkipping(gl.framebufferTextureLayer, undefined);
  gl.checkFramebufferStatus = unlessSkipping(gl.checkFramebufferStatus, gl.FRAMEBUFFER_COMPLETE);
  const texture = niivue.rgbaTex.bind(niivue);
  niivue.rgbaTex = (old, unit, dims, isInit) => {
    // gradients are the last that is computed of a layer, and begin with this texture; colours that are blended have it without zeros
    if (isRefreshing && unit === SMOOTHED && isInit) isSkipping = true;
    const isUnused = isSkipping && (unit === SMOOTHED || unit === GRADIENTS);
    return texture(old, unit, isUnused ? [3, 1, 1, 1] : dims, isInit);
  };
  const refresh = niivue.refreshLayers.bind(niivue);
  niivue.refreshLayers = (image, layer) => {
    isRefreshing = true;
    try {
      refresh(image, layer);
    } finally {
      [isRefreshing, isSkipping] = [false, false];
    }
  };
}
