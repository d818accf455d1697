/** Packages that gvsl can use and does not bring (optional `peerDependencies` in package.json): large ones that few need. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { UsageError } from '../../common/errors.ts';

export const OPTIONAL_PACKAGES = ['koffi', 'webgpu'] as const;
export type OptionalPackage = (typeof OPTIONAL_PACKAGES)[number];

/**
 * Loads an optional package when it is needed.
 * @param neededBy the argument that asks for it, and `instead` what to do without it: words of the message
 * @throws UsageError that says how to install it
 */
export async function loadOptionalPackage<T>(
  name: OptionalPackage,
  load: () => Promise<T>,
  neededBy: string,
  instead: string,
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(
      code === 'ERR_MODULE_NOT_FOUND'
        ? `${neededBy} needs the package ${name}, which is not installed: npm install ${name}, or ${instead}`
        : `${neededBy}: the package ${name} cannot be loaded (${message.split('\n')[0]}): install it again (npm install ${name}), or ${instead}`,
    );
  }
}

/** The version that is installed; null if none is. Read from its file, which not every package lets be imported. */
export function installedVersion(name: string): string | null {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  for (const folder of folders) {
    try {
      return (JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: string }).version;
    } catch {
      // not in this one
    }
  }
  return null;
}
