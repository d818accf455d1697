/** The module: the scheduler, and every kernel by its name. */
export { run, serve } from "./scheduler.as";
export { toBlocked, toPlain } from "./layout.as";
export { conv3d, conv3dWeightGradient, packWeights, unpackWeightGradient } from "../../ops/conv3d/conv3d.as";
export {
  collectChannelSums,
  groupNorm,
  groupNormInputGradient,
  groupNormSums,
  groupStatistics,
  groupSums,
  sumPick,
} from "../../ops/group-norm/group-norm.as";
