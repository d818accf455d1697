/**
 * Messages by MPI: non-blocking sends and receives, and `MPI_Test` from the event loop. So signals are heard while a rank waits, no thread beside
 * JavaScript's calls MPI, and what is sent and received lies where it is computed: nothing is copied on the way.
 */
import { UsageError } from '../../../common/errors.ts';
import { ABI_VARIABLE, LIBRARY_VARIABLE, type MpiAbi, openMpiLibrary, steadyBytes } from './mpi-library.ts';
import type { Transfer, Transport } from './transport.ts';

/** MPI counts by C's `int`: longer messages go in pieces. */
const MAX_PIECE_BYTES = 2 ** 30;

/**
 * Opens MPI.
 * @param started ranks that the launcher says there are, and its family where its variables tell it
 * @throws UsageError if there is no MPI, or it is not the launcher's
 */
export async function openMpi({ size: expected, family }: { size: number; family: MpiAbi | undefined }): Promise<Transport> {
  const library = await openMpiLibrary(family);
  if (!library.initialised()) library.initialise();
  const [rank, size] = [library.rank(), library.size()];
  const { version, path, abi } = library;
  if (size !== expected) {
    library.finalise();
    throw new UsageError(
      `training over MPI: the launcher started ${expected} ranks, but ${version} (${path}) sees ${size}: mpirun and the library are of different MPIs. Use the mpirun of ${version}, or set ${LIBRARY_VARIABLE} (and, where it is not told by its symbols, ${ABI_VARIABLE}) to the launcher's libmpi`,
    );
  }
  const begin = (bytes: Uint8Array, call: (piece: Uint8Array, request: Uint8Array) => void): Transfer => {
    const requests: Uint8Array[] = [];
    for (let from = 0; from === 0 || from < bytes.length; from += MAX_PIECE_BYTES) {
      const request = steadyBytes(8);
      call(bytes.subarray(from, from + MAX_PIECE_BYTES), request);
      requests.push(request);
    }
    // the transfer holds the bytes too, so that they are not collected under MPI's hands
    const held = { bytes, requests };
    return {
      done: () => {
        while (held.requests.length > 0 && library.test(held.requests[0])) held.requests.shift();
        return held.requests.length === 0;
      },
    };
  };
  return {
    rank,
    size,
    description: `${version}${abi === 'standard' ? ' (standard ABI)' : ''}`,
    send: (to, tag, bytes) => begin(bytes, (piece, request) => library.send(piece, to, tag, request)),
    receive: (from, tag, into) => begin(into, (piece, request) => library.receive(piece, from, tag, request)),
    end: () => library.finalise(),
    abort: (exitCode) => library.abort(exitCode),
  };
}
