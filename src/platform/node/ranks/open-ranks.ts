/** Whether this process is one of several that train together, by what its launcher wrote into its environment; and the way to the others. */
import { UsageError } from '../../../common/errors.ts';
import type { MpiAbi } from './mpi-library.ts';
import { ALONE, type Ranks, ranksOn } from './ranks.ts';

/** For ranks over TCP: the address of rank 0 (HOST:PORT), this rank, and how many there are. */
export const TCP_VARIABLES = { address: 'GVSL_TCP', rank: 'GVSL_RANK', size: 'GVSL_RANKS' } as const;

/** What a launcher says. */
export type Launch =
  | { readonly kind: 'alone' }
  | { readonly kind: 'mpi'; readonly size: number; readonly family: MpiAbi | undefined }
  | { readonly kind: 'tcp'; readonly rank: number; readonly size: number; readonly address: { host: string; port: number } };

type Environment = Readonly<Record<string, string | undefined>>;

/** Launchers of MPI: what tells the number of ranks, and the family of the MPI that it starts; the first that is there counts. */
const LAUNCHERS: readonly { readonly size: string; readonly with?: string; readonly family?: MpiAbi }[] = [
  // mpirun of Open MPI
  { size: 'OMPI_COMM_WORLD_SIZE', family: 'openmpi' },
  // mpirun of MPICH and of Intel MPI (Hydra), MVAPICH
  { size: 'PMI_SIZE', with: 'MPI_LOCALNRANKS', family: 'mpich' },
  { size: 'MV2_COMM_WORLD_SIZE', family: 'mpich' },
  // srun --mpi=pmi2, Cray's launchers
  { size: 'PMI_SIZE' },
  // srun --mpi=pmix
  { size: 'SLURM_STEP_NUM_TASKS', with: 'PMIX_RANK' },
];

function tcpLaunch(environment: Environment): Launch {
  const { address, rank, size } = TCP_VARIABLES;
  const number = (name: string, least: number, below = Number.POSITIVE_INFINITY): number => {
    const value = Number(environment[name] ?? Number.NaN);
    if (!Number.isInteger(value) || value < least || value >= below)
      throw new UsageError(
        `${name}: expected a whole number from ${least}${below < Infinity ? ` to ${below - 1}` : ''} beside ${address}; found '${environment[name] ?? ''}'`,
      );
    return value;
  };
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(environment[address]!) ?? [];
  if (host === undefined) throw new UsageError(`${address}: expected HOST:PORT of rank 0; found '${environment[address]}'`);
  const ranks = number(size, 1);
  return ranks === 1
    ? { kind: 'alone' }
    : { kind: 'tcp', rank: number(rank, 0, ranks), size: ranks, address: { host, port: Number(port) } };
}

/** What the environment says of the launcher. @throws UsageError for variables of our own that cannot be meant */
export function launchOf(environment: Environment): Launch {
  if (environment[TCP_VARIABLES.address]) return tcpLaunch(environment);
  const launcher = LAUNCHERS.find((each) => environment[each.size] && (!each.with || environment[each.with] !== undefined));
  const size = Number(launcher ? environment[launcher.size] : 1);
  return size > 1 ? { kind: 'mpi', size, family: launcher!.family } : { kind: 'alone' };
}

/**
 * The ranks that this process is one of; of itself alone where no launcher says otherwise, or only one was started. If it ends before `end`, the
 * others are ended too. @throws UsageError if there is no MPI, or not the launcher's
 */
export async function openRanks(environment: Environment = process.env): Promise<Ranks> {
  const launch = launchOf(environment);
  if (launch.kind === 'alone') return ALONE;
  const transport =
    launch.kind === 'mpi' ? await (await import('./mpi.ts')).openMpi(launch) : await (await import('./tcp.ts')).openTcp(launch);
  let ended = false;
  process.once('exit', (code) => {
    if (!ended) transport.abort(code || 1);
  });
  const end = (): void => {
    transport.end();
    ended = true;
  };
  return ranksOn({ ...transport, end });
}
