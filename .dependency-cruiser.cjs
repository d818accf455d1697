/**
 * The layers of docs/architecture.md, as a rule. Rooms are the folders of src/. In every room, what lies in its folder `node/` may use Node, and in
 * the rooms of `onlyNode` everything; the rest is environment-neutral: it runs in browsers too.
 */
const onlyNode = ['study', 'cli'];
const node = ['/node/', `^src/(${onlyNode.join('|')})/`, '^src/index\\.ts$'];
/** Runs in browsers alone; built by Vite. */
const browser = '^src/(page|platform/browser)/';
/** Tests, and the helpers of tests in folders of that name: they may import any room, and nothing else may import them. */
const testing = ['\\.test\\.ts$', '/testing/'];

/** What the environment-neutral part of a room may import besides itself. */
const neutral = {
  common: [],
  geometry: ['common'],
  engine: ['common'],
  images: ['common', 'geometry'],
  phantom: ['common', 'geometry'],
  metrics: ['common', 'geometry'],
  cohort: ['common', 'geometry', 'images'],
  model: ['common', 'geometry', 'engine', 'cohort'],
  methods: ['common', 'geometry', 'engine', 'images', 'metrics', 'cohort', 'model'],
  apply: ['common', 'geometry', 'engine', 'images', 'metrics', 'cohort', 'model', 'methods'],
  training: ['common', 'geometry', 'engine', 'images', 'metrics', 'cohort', 'model', 'methods', 'apply'],
  report: ['common', 'images', 'metrics', 'methods'],
};
/** What the Node part of a room may import besides its own room: these rooms, their Node parts included. */
const inNode = {
  platform: ['common', 'geometry', 'engine'],
  images: ['common', 'geometry', 'platform'],
  cohort: [...neutral.cohort, 'platform'],
  metrics: ['common', 'geometry', 'images', 'cohort', 'platform'],
  model: [...neutral.model, 'platform'],
  methods: [...neutral.methods, 'platform'],
  apply: [...neutral.apply, 'platform'],
  training: [...neutral.training, 'platform'],
  report: [...neutral.report, 'cohort', 'platform'],
};
const everyRoom = [...Object.keys(neutral), 'platform'];
const wholeRooms = { study: everyRoom, 'cli/bench': everyRoom, 'cli/doctor': [...everyRoom, 'cli/bench'] };

/** A rule: these files import their own room and the named ones alone. */
const layer = (room, others, from) => ({
  name: `layer-${room}`,
  severity: 'error',
  from: { path: `^src/${room}/`, ...from },
  to: { path: '^src/', pathNot: [room, ...others].map((other) => `^src/${other}/`) },
});

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'neutral-without-node',
      comment: 'What is environment-neutral uses nothing of Node.',
      severity: 'error',
      from: { pathNot: [...node, ...testing] },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'neutral-on-neutral',
      comment: 'What runs in browsers stands on what runs in browsers.',
      severity: 'error',
      from: { pathNot: [...node, ...testing] },
      to: { path: node },
    },
    { name: 'browser-is-the-top', severity: 'error', from: { pathNot: browser }, to: { path: browser } },
    ...Object.entries(neutral).map(([room, others]) => layer(room, others, { pathNot: ['/node/', ...testing] })),
    ...Object.entries(inNode).map(([room, others]) => ({
      ...layer(room, others, { path: `^src/${room}/.*node/`, pathNot: testing }),
      name: `layer-${room}-node`,
    })),
    ...Object.entries(wholeRooms).map(([room, others]) => layer(room, others, { pathNot: testing })),
    {
      name: 'no-orphans',
      severity: 'error',
      // what stands in for packages: vite.config.ts
      from: {
        orphan: true,
        pathNot: [
          '\\.d\\.ts$',
          '^src/(index|engine|apply|images|methods|metrics)\\.ts$',
          '^src/page/no-(zarr|node)\\.ts$',
          '\\.as\\.ts$',
          '\\.test\\.ts$',
        ],
      },
      to: {},
    },
    { name: 'not-to-test', severity: 'error', from: { pathNot: testing }, to: { path: testing } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.as\\.ts$' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
