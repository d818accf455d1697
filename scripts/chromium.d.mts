/** Types of chromium.mjs, for the tests. */
export const CHROMIUM: string | undefined;
export const SOFTWARE_WEBGL: string[];
export const SOFTWARE_WEBGPU: string[];
