import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adviseVulkan, findVulkan } from './vulkan.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gvsl-vulkan-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const put = (path: string): string => {
  const whole = join(root, path);
  mkdirSync(join(whole, '..'), { recursive: true });
  writeFileSync(whole, '');
  return whole;
};

describe('what a machine has of Vulkan', () => {
  it('nothing: the loader is advised', () => {
    expect(findVulkan(root, {})).toEqual({ loader: false, drivers: [], missing: [] });
    expect(adviseVulkan(findVulkan(root, {}))).toContain('libvulkan1');
  });

  it('a loader without a driver: the driver is advised', () => {
    put('usr/lib/x86_64-linux-gnu/libvulkan.so.1');
    expect(adviseVulkan(findVulkan(root, {}))).toMatch(/no driver.*mesa-vulkan-drivers/);
  });

  it('both, but no GPU: permissions are advised', () => {
    put('usr/lib/aarch64-linux-gnu/libvulkan.so.1');
    const driver = put('usr/share/vulkan/icd.d/nvidia_icd.json');
    expect(findVulkan(root, {})).toEqual({ loader: true, drivers: [driver], missing: [] });
    expect(adviseVulkan(findVulkan(root, {}))).toContain('/dev/dri');
  });

  it('variables replace the folders, and a file that they name and that is missing is told', () => {
    put('usr/lib/libvulkan.so.1');
    put('usr/share/vulkan/icd.d/nvidia_icd.json');
    const there = put('own/driver.json');
    const found = findVulkan(root, { VK_DRIVER_FILES: `${there}:/nowhere/driver.json` });
    expect(found).toEqual({ loader: true, drivers: [there], missing: ['/nowhere/driver.json'] });
    expect(adviseVulkan(found)).toContain('names /nowhere/driver.json, which does not exist');
  });

  it('a loader that LD_LIBRARY_PATH leads to counts', () => {
    put('own/libvulkan.so.1');
    expect(findVulkan(root, { LD_LIBRARY_PATH: join(root, 'own') }).loader).toBe(true);
  });
});
