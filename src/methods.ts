/**
 * `gvsl/methods`: ways to pre-train, and what a new one is made of: the network, its parameters, augmentations, schemas of configurations.
 *
 * Runs anywhere: Node, browsers, workers. Nothing here imports Node or the DOM. A method is trained by `pretrain` of `gvsl` in Node
 * (`PretrainingMethod` says what it must offer).
 *
 * @module gvsl/methods
 */

export type { Cohort, Landmark, Subject } from './cohort/cohort.ts';
export type { CohortReader } from './cohort/reader.ts';
export { sampleCropStart } from './methods/augmentation/crop-start.ts';
export {
  applyCubeMask,
  type CubeMaskOptions,
  type CubeMaskPlan,
  DEFAULT_CUBE_MASK,
  sampleCubeMask,
} from './methods/augmentation/cube-mask.ts';
export {
  applyDamage,
  type DamageOptions,
  type DamagePlan,
  DEFAULT_DAMAGE,
  sampleDamage,
} from './methods/augmentation/damage/damage.ts';
export { type Flip, flipAxes, NO_FLIP, sampleFlip } from './methods/augmentation/flips.ts';
export { applyHoles, DEFAULT_HOLES, type HoleOptions, type Holes, sampleHoles } from './methods/augmentation/holes.ts';
export {
  applyIntensity,
  blur,
  type IntensityChange,
  lowerResolution,
  SAME_INTENSITY,
} from './methods/augmentation/intensity.ts';
export {
  applyModelsGenesis,
  DEFAULT_MODELS_GENESIS,
  type ModelsGenesisExample,
  type ModelsGenesisOptions,
  type ModelsGenesisPlan,
  sampleModelsGenesis,
} from './methods/augmentation/models-genesis.ts';
export { addNoise, DEFAULT_NOISE, type NoiseOptions, type NoisePlan, sampleNoise } from './methods/augmentation/noise.ts';
export { applyRotation, ROTATIONS, type Rotation, type RotationPlan, sampleRotation } from './methods/augmentation/rotation.ts';
export {
  applySpatial,
  DEFAULT_SPATIAL,
  type SpatialOptions,
  type SpatialPlan,
  sampleSpatial,
} from './methods/augmentation/spatial/spatial.ts';
export {
  applyView,
  DEFAULT_VIEW,
  sampleOverlappingStarts,
  sampleView,
  sampleViews,
  type ViewOptions,
  type ViewPlan,
  type ViewsPlan,
} from './methods/augmentation/views.ts';
export {
  applyFusion,
  DEFAULT_FUSION,
  type FusedBox,
  type Fusion,
  type FusionOptions,
  type FusionPlan,
  sampleFusion,
} from './methods/augmentation/volume-fusion.ts';
export { type ByolConfiguration, byol } from './methods/byol/method.ts';
export { classificationProgram } from './methods/classification/program.ts';
export { meanCosine, ntXent } from './methods/contrastive/losses.ts';
export { type CropConfiguration, cropDataSection, cropOf, drawSubject } from './methods/crops.ts';
export { type DeepClusterConfiguration, deepCluster } from './methods/deep-cluster/method.ts';
export { type DenoisingConfiguration, denoising } from './methods/denoising/method.ts';
export {
  DEFAULT_CONFIGURATION,
  type PretrainConfiguration,
  patchSize,
  pretrainConfigurationSchema,
} from './methods/gvsl/configuration.ts';
export { gvsl } from './methods/gvsl/method.ts';
export { type LossOptions, matchingProgram, PAPER_LOSS, type StepOptions, trainingProgram } from './methods/gvsl/program.ts';
export { type InPaintingConfiguration, inPainting } from './methods/in-painting/method.ts';
export {
  type ExampleScores,
  type JudgedMethod,
  type JudgedOutputs,
  type Judgement,
  type JudgementContext,
  judge,
} from './methods/judgement/judge.ts';
export { type JudgementConfiguration, judgementSection } from './methods/judgement/options.ts';
export { type ProbeRequest, type ProbeScore, probe } from './methods/judgement/probe.ts';
export { type MaeConfiguration, mae } from './methods/mae/method.ts';
export type {
  Alarm,
  EvaluationRecord,
  EvaluationRequest,
  ExampleMaker,
  ExampleTensors,
  JudgementRequest,
  Memory,
  PretrainingMethod,
  ProgramVariant,
  Refresh,
  Refreshed,
  StepOutputs,
} from './methods/method.ts';
export { type BuildForward, type Forward, type MethodProgramOptions, methodProgram } from './methods/method-program.ts';
export { type ModelsGenesisConfiguration, modelsGenesis } from './methods/models-genesis/method.ts';
export { METHODS, methodNamed, type NamedMethod } from './methods/registry.ts';
export {
  type Damaged,
  type RestorationConfiguration,
  type RestorationDescription,
  restorationMethod,
} from './methods/restoration/method.ts';
export { type RestorationProgramOptions, restorationProgram } from './methods/restoration/program.ts';
export { type RotationConfiguration, rotation } from './methods/rotation/method.ts';
export * as schemaParts from './methods/schema-parts.ts';
export { type PretrainingConfiguration, pretrainingSchema, toPatchSize } from './methods/schema-parts.ts';
export { type SimclrConfiguration, simclr } from './methods/simclr/method.ts';
export { type SimsiamConfiguration, simsiam } from './methods/simsiam/method.ts';
export { type VolumeFusionConfiguration, volumeFusion } from './methods/volume-fusion/method.ts';
export { ALL_HEADS, type Architecture, type Heads, NO_HEADS, PAPER_WIDTHS, scaledArchitecture } from './model/architecture.ts';
export { classificationHead, type Matching, matchingHead, restorationHead, segmentationHead } from './model/heads.ts';
export { parameterTable } from './model/parameters.ts';
export { featuresProgram, predictionProgram, type TransferOptions, transferProgram } from './model/task-programs.ts';
export { type GradientOptions, gradientGraph, trainingProgramOf, type WeightedLoss } from './model/training-program.ts';
export { encoder, type Features, unet } from './model/unet.ts';
export { learningRateOf, lossesOf, trainStep } from './training/step.ts';
