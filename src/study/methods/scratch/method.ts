/** No pre-training: what every other method is compared with. */
import type { PretrainingMethod } from '../method.ts';

export const scratch: PretrainingMethod = { name: 'scratch', title: 'scratch', pretrain: async () => 'scratch' };
