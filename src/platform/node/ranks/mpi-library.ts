/**
 * The machine's own MPI, found and bound at run time through `koffi`: no compiler, and the MPI that the cluster was set up with.
 *
 * There are three binary interfaces (ABIs), which differ in how handles look and in the values of constants: MPICH and its family (Intel MPI,
 * MVAPICH, Cray), Open MPI, and that of the MPI 5.0 standard (chapter 20). Only what `mpi.ts` calls is bound. A library is told by its symbols, as
 * mpi4py does it: `MPI_Abi_get_version` that knows a version, `ompi_mpi_comm_self`, or neither.
 */
import { UsageError } from '../../../common/errors.ts';
import { loadOptionalPackage } from '../optional-packages.ts';

/** What the environment may say: the library to load, and its interface where it is not to be told by its symbols. */
export const LIBRARY_VARIABLE = 'GVSL_MPI_LIBRARY';
export const ABI_VARIABLE = 'GVSL_MPI_ABI';

export type MpiAbi = 'mpich' | 'openmpi' | 'standard';

/** A handle as a function takes it. */
type Handle = number | bigint;

/** An interface: C's type of handles, and those that are used, as values or as the names of symbols whose addresses they are. */
interface AbiTable {
  readonly handle: 'int' | 'uintptr_t';
  readonly world: number | string;
  readonly byte: number | string;
}

/** Values: mpi.h of MPICH 4, of Open MPI 4 and 5, and of the MPI 5.0 ABI. */
export const ABIS: Readonly<Record<MpiAbi, AbiTable>> = {
  mpich: { handle: 'int', world: 0x44000000, byte: 0x4c00010d },
  openmpi: { handle: 'uintptr_t', world: 'ompi_mpi_comm_world', byte: 'ompi_mpi_byte' },
  standard: { handle: 'uintptr_t', world: 0x101, byte: 0x247 },
};

/** Names of libraries by interface. `libmpi.so` may be of any; Debian calls MPICH's `libmpich.so.12` where others say `libmpi.so.12`. */
const NAMES: Readonly<Record<MpiAbi, readonly string[]>> = {
  mpich: ['libmpi.so.12', 'libmpich.so.12', 'libmpi.12.dylib'],
  openmpi: ['libmpi.so.40', 'libmpi.40.dylib'],
  standard: ['libmpi_abi.so.1', 'libmpi_abi.so', 'libmpi_abi.1.dylib'],
};
const ANY_FAMILY = ['libmpi.so', 'libmpi.dylib'];

/** Which names are tried, in order: those of the launcher's family first, where its variables tell it. */
export function libraryNames(family: MpiAbi | undefined): readonly string[] {
  const families = Object.keys(NAMES) as MpiAbi[];
  if (family === undefined) return [...ANY_FAMILY, ...families.flatMap((each) => NAMES[each])];
  const others = families.filter((each) => each !== family);
  return [...NAMES[family], ...ANY_FAMILY, ...others.flatMap((each) => NAMES[each])];
}

/** The functions, each of which gives 0 (MPI's own handler ends the job on an error before it returns). */
export interface MpiLibrary {
  readonly path: string;
  readonly abi: MpiAbi;
  /** 'MPICH 4.0.2', 'Open MPI 4.1.4'. */
  readonly version: string;
  initialise(): void;
  readonly initialised: () => boolean;
  rank(): number;
  size(): number;
  /** @param request 8 bytes, which stay where they are until the request is done, as `bytes` do */
  send(bytes: Uint8Array, to: number, tag: number, request: Uint8Array): void;
  receive(bytes: Uint8Array, from: number, tag: number, request: Uint8Array): void;
  test(request: Uint8Array): boolean;
  finalise(): void;
  abort(exitCode: number): void;
}

/** Bytes that never move: small arrays may lie in the collector's own heap. */
export const steadyBytes = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(new ArrayBuffer(length));

/** Bytes of a status: 20 to 32, by interface. */
const STATUS_BYTES = 64;
/** MPI_MAX_LIBRARY_VERSION_STRING of all: 8192 at most. */
const VERSION_BYTES = 8192;
/** MPI_THREAD_FUNNELED: other threads run, and only this one calls. */
const THREAD_FUNNELED = 1;
/** RTLD_NOW, RTLD_GLOBAL and RTLD_NODELETE of Linux: Open MPI does not survive being closed before the process ends, and its parts look for its symbols. */
const OPEN_FLAGS = process.platform === 'darwin' ? 0x2 | 0x8 | 0x80 : 0x2 | 0x100 | 0x1000;

/**
 * What UCX, which carries the messages of MPICH and Open MPI on many machines, must not do in a process that runs JavaScript. Its hooks on memory
 * (for its cache of registered memory) patch malloc and sbrk under threads that are using them: with MPICH 4.0.2, UCX 1.13 and Node 20 one start in
 * twelve ended with a segmentation fault, none of 70 without them. And SIGSEGV belongs to V8, whose WebAssembly may stand on it.
 */
export const UCX_SETTINGS: Readonly<Record<string, string>> = {
  UCX_MEM_EVENTS: 'n',
  UCX_ERROR_SIGNALS: 'SIGILL,SIGBUS,SIGFPE',
};

/** Sets them where the environment says nothing. */
export function settleUcx(environment: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(UCX_SETTINGS)) environment[name] ??= value;
}

type Call = (...args: readonly unknown[]) => number;

/** 'MPICH Version: 4.0.2 ...' and 'Open MPI v4.1.4, package: ...' in a few words. */
export function shortVersion(text: string): string {
  const [line = ''] = text.split('\n');
  const name = /^(.*?)(?:\s+Version)?:?\s+v?(\d[\w.]*)/i.exec(line);
  return name ? `${name[1]} ${name[2]}` : line.slice(0, 60) || 'MPI';
}

/**
 * Opens the library.
 * @param family of the launcher; undefined where it is not known
 * @throws UsageError if `koffi` is not installed, or there is no library
 */
export async function openMpiLibrary(family: MpiAbi | undefined): Promise<MpiLibrary> {
  const { default: koffi } = await loadOptionalPackage(
    'koffi',
    () => import('koffi'),
    'training over MPI',
    'start gvsl without mpirun',
  );
  const system = koffi.load(null);
  const dlopen = system.func('uintptr_t dlopen(const char *name, int flags)') as (name: string, flags: number) => Handle;
  const dlerror = system.func('const char *dlerror()') as () => string | null;
  const dlsym = system.func('uintptr_t dlsym(uintptr_t library, const char *name)') as (library: Handle, name: string) => Handle;

  // read by UCX when the library is loaded
  settleUcx(process.env);
  const named = process.env[LIBRARY_VARIABLE];
  const names = named ? [named] : libraryNames(family);
  const failures: string[] = [];
  let found: { path: string; handle: Handle } | undefined;
  for (const path of names) {
    const handle = dlopen(path, OPEN_FLAGS);
    if (Number(handle) !== 0) {
      found = { path, handle };
      break;
    }
    failures.push(dlerror() ?? path);
  }
  if (!found)
    throw new UsageError(
      `training over MPI: no MPI library could be opened (${named ? failures[0] : `tried ${names.join(', ')}`}); install MPICH or Open MPI, load its module, or set ${LIBRARY_VARIABLE} to the path of its libmpi`,
    );
  const { path, handle } = found;
  const library = koffi.load(path);
  const address = (name: string): Handle => dlsym(handle, name);
  const has = (name: string): boolean => Number(address(name)) !== 0;

  const abiOf = (): MpiAbi => {
    const said = process.env[ABI_VARIABLE];
    if (said) {
      if (said in ABIS) return said as MpiAbi;
      throw new UsageError(`${ABI_VARIABLE}: expected one of ${Object.keys(ABIS).join(', ')}; found '${said}'`);
    }
    if (has('MPI_Abi_get_version')) {
      const numbers = new Int32Array(new ArrayBuffer(8)).fill(-1);
      (library.func('int MPI_Abi_get_version(void *major, void *minor)') as Call)(numbers.subarray(0, 1), numbers.subarray(1));
      if (numbers[0] > 0) return 'standard';
    }
    return has('ompi_mpi_comm_self') ? 'openmpi' : 'mpich';
  };
  if (!has('MPI_Isend'))
    throw new UsageError(`${LIBRARY_VARIABLE} ${path}: is no MPI library (it has no MPI_Isend); expected the path of a libmpi`);
  const abi = abiOf();
  const { handle: type, world, byte } = ABIS[abi];
  const handleOf = (value: number | string): Handle => (typeof value === 'number' ? value : address(value));
  const [comm, bytesType] = [handleOf(world), handleOf(byte)];
  const bind = (name: string, ...parameters: readonly string[]): Call =>
    library.func(`int ${name}(${parameters.join(', ')})`) as Call;

  const init = bind('MPI_Init_thread', 'void *argc', 'void *argv', 'int required', 'void *provided');
  const initialized = bind('MPI_Initialized', 'void *flag');
  const commRank = bind('MPI_Comm_rank', `${type} comm`, 'void *rank');
  const commSize = bind('MPI_Comm_size', `${type} comm`, 'void *size');
  const message = ['void *buffer', 'int count', `${type} datatype`, 'int peer', 'int tag', `${type} comm`, 'void *request'];
  const isend = bind('MPI_Isend', ...message);
  const irecv = bind('MPI_Irecv', ...message);
  const test = bind('MPI_Test', 'void *request', 'void *flag', 'void *status');
  const finalize = bind('MPI_Finalize');
  const abort = bind('MPI_Abort', `${type} comm`, 'int code');
  const libraryVersion = bind('MPI_Get_library_version', 'void *text', 'void *length');

  const number = new Int32Array(new ArrayBuffer(4));
  const status = steadyBytes(STATUS_BYTES);
  const check = (name: string, code: number): void => {
    if (code !== 0) throw new Error(`${name} failed with MPI's error ${code}`);
  };
  const numberBy = (name: string, call: () => number): number => {
    check(name, call());
    return number[0];
  };
  const text = steadyBytes(VERSION_BYTES);
  const length = numberBy('MPI_Get_library_version', () => libraryVersion(text, number));
  return {
    path,
    abi,
    version: shortVersion(Buffer.from(text.buffer, 0, length).toString('latin1')),
    initialise: () => void numberBy('MPI_Init_thread', () => init(null, null, THREAD_FUNNELED, number)),
    initialised: () => numberBy('MPI_Initialized', () => initialized(number)) !== 0,
    rank: () => numberBy('MPI_Comm_rank', () => commRank(comm, number)),
    size: () => numberBy('MPI_Comm_size', () => commSize(comm, number)),
    send: (bytes, to, tag, request) => check('MPI_Isend', isend(bytes, bytes.length, bytesType, to, tag, comm, request)),
    receive: (bytes, from, tag, request) => check('MPI_Irecv', irecv(bytes, bytes.length, bytesType, from, tag, comm, request)),
    test: (request) => numberBy('MPI_Test', () => test(request, number, status)) !== 0,
    finalise: () => check('MPI_Finalize', finalize()),
    abort: (exitCode) => void abort(comm, exitCode),
  };
}
