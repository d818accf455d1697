/** The Chromium that tests and scripts drive, wherever it is installed, and the flags that let it draw without a GPU. It is never downloaded. */
import { existsSync } from 'node:fs';

/** Its path (CHROMIUM says another one); undefined where there is none. */
export const CHROMIUM = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path !== undefined && existsSync(path),
);

/** WebGL in software. */
export const SOFTWARE_WEBGL = ['--no-sandbox', '--enable-unsafe-swiftshader', '--use-angle=swiftshader'];
/** WebGPU in software; the last as in src/platform/node/webgpu-host.ts. */
export const SOFTWARE_WEBGPU = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension',
];
