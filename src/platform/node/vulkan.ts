/** What a Linux machine has of Vulkan, which WebGPU computes through there: the loader, and the drivers that it finds by their files. */
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const LOADER = 'libvulkan.so.1';
const LIBRARIES = ['usr/lib', 'usr/lib64', 'usr/local/lib', 'lib', 'lib64'];
/** Where drivers describe themselves (the Vulkan loader's documentation, "Driver discovery"). */
const DRIVER_FOLDERS = ['usr/share/vulkan/icd.d', 'usr/local/share/vulkan/icd.d', 'etc/vulkan/icd.d'];

const entries = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

export interface Vulkan {
  /** Whether the loader is in one of the usual folders, or in one that LD_LIBRARY_PATH names. */
  readonly loader: boolean;
  /** The files of drivers. */
  readonly drivers: readonly string[];
  /** Files that VK_DRIVER_FILES or VK_ICD_FILENAMES name and that are not there. */
  readonly missing: readonly string[];
}

/**
 * Looks for both. Variables of the environment that name drivers replace the folders, as in the loader.
 * @param root of the file system; for tests
 */
export function findVulkan(root = '/', environment: Readonly<Record<string, string | undefined>> = process.env): Vulkan {
  const multiarch = LIBRARIES.flatMap((folder) =>
    entries(join(root, folder))
      .filter((name) => name.endsWith('-linux-gnu'))
      .map((name) => join(folder, name)),
  );
  const folders = [...LIBRARIES, ...multiarch].map((folder) => join(root, folder));
  const named = (environment.LD_LIBRARY_PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const files = (environment.VK_DRIVER_FILES ?? environment.VK_ICD_FILENAMES ?? '')
    .split(delimiter)
    .filter((file) => file !== '');
  const inFolders = DRIVER_FOLDERS.flatMap((folder) =>
    entries(join(root, folder))
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(root, folder, name)),
  );
  return {
    loader: [...folders, ...named].some((folder) => existsSync(join(folder, LOADER))),
    drivers: files.length > 0 ? files.filter((file) => existsSync(file)) : inFolders,
    missing: files.filter((file) => !existsSync(file)),
  };
}

/** Why no GPU is found, as far as the files tell, and what to install. */
export function adviseVulkan({ loader, drivers, missing }: Vulkan): string {
  if (!loader) return `install the Vulkan loader, ${LOADER} (Debian and Ubuntu: libvulkan1; Fedora: vulkan-loader)`;
  if (missing.length > 0)
    return `VK_DRIVER_FILES or VK_ICD_FILENAMES names ${missing.join(', ')}, which does not exist: fix or unset it`;
  if (drivers.length === 0)
    return `the Vulkan loader is installed, but there is no driver manifest in /${DRIVER_FOLDERS[0]}: install the driver of the GPU (NVIDIA: the driver package with Vulkan, in containers NVIDIA_DRIVER_CAPABILITIES=graphics,compute; AMD and Intel on Debian: mesa-vulkan-drivers)`;
  return `the Vulkan loader and the drivers ${drivers.join(', ')} are installed, but none provides a GPU: check that this user can open /dev/dri or /dev/nvidia*, and the output of vulkaninfo`;
}
