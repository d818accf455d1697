import { expect, it } from 'vitest';
import { installedVersion, loadOptionalPackage, OPTIONAL_PACKAGES } from './optional-packages.ts';

const load = (work: () => Promise<unknown>) => loadOptionalPackage('webgpu', work, '`backend` webgpu', 'use `backend` cpu');
const failing = (message: string, code?: string) => load(() => Promise.reject(Object.assign(new Error(message), { code })));

it('gives what was loaded', async () => {
  expect(await load(async () => 'the package')).toBe('the package');
});

it('names the package that is not installed, and how to install it', async () => {
  await expect(failing("Cannot find package 'webgpu'", 'ERR_MODULE_NOT_FOUND')).rejects.toThrow(
    '`backend` webgpu needs the package webgpu, which is not installed: npm install webgpu, or use `backend` cpu',
  );
});

it('tells a package that is installed and does not load', async () => {
  await expect(failing('linux-arm.dawn.node: no such file\nRequire stack', 'MODULE_NOT_FOUND')).rejects.toThrow(
    '`backend` webgpu: the package webgpu cannot be loaded (linux-arm.dawn.node: no such file): install it again (npm install webgpu), or use `backend` cpu',
  );
});

it('knows versions, and what package.json calls optional', async () => {
  const { peerDependencies, peerDependenciesMeta } = (await import('../../../package.json', { with: { type: 'json' } })).default;
  expect(Object.keys(peerDependencies)).toEqual([...OPTIONAL_PACKAGES]);
  expect(peerDependenciesMeta).toEqual(Object.fromEntries(OPTIONAL_PACKAGES.map((name) => [name, { optional: true }])));
  expect(installedVersion('vitest')).toMatch(/^\d+\.\d+\.\d+/);
  expect(installedVersion('nowhere-to-be-found')).toBeNull();
});
