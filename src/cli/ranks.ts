/** Commands that may be started by `mpirun` or `srun`: every rank does the work, and rank 0 speaks. */
import type { Ranks } from '../platform/node/ranks/ranks.ts';
import type { CommandResult } from './run-command.ts';

/** Does a command's work on the ranks that were started; alone, where none were. */
export async function withRanks(work: (ranks: Ranks) => Promise<CommandResult>): Promise<CommandResult> {
  const { openRanks } = await import('../platform/node/ranks/open-ranks.ts');
  const ranks = await openRanks();
  try {
    const result = await work(ranks);
    await ranks.end();
    return ranks.rank === 0 ? result : { ...result, quiet: true };
  } catch (error) {
    throw await ranks.fail(error);
  }
}
