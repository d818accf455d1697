/**
 * Messages between the processes that train together. Everything that they do with one another (ranks.ts) is made of these few calls, so that a
 * way to carry messages is little code: mpi.ts by the machine's MPI, tcp.ts by plain sockets.
 */

/** A message under way. Its bytes belong to it until it is done: they are not to be written to, and not to be read where it is received. */
export interface Transfer {
  /** Whether it is over. It also lets messages proceed, so that whoever waits asks again and again. @throws what went wrong */
  done(): boolean;
}

export interface Transport {
  readonly rank: number;
  readonly size: number;
  /** What carries messages, with its version: 'MPICH 4.0.2'. */
  readonly description: string;
  /** Messages of one tag between two ranks arrive in the order in which they were sent. @param tag 0 to 32767 */
  send(to: number, tag: number, bytes: Uint8Array): Transfer;
  /** @param into exactly as long as the message */
  receive(from: number, tag: number, into: Uint8Array): Transfer;
  /** Takes leave, when no message is under way any more; every rank must. */
  end(): void;
  /** Ends the processes of all ranks, this one included, where it can. */
  abort(exitCode: number): void;
}
