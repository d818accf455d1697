/**
 * The layers of docs/architecture.md, as a rule. Rooms are the folders of src/.
 * Universal rooms run in a browser: they may import neither Node nor a Node room.
 */
const universal =
  '^src/((errors|random|geometry|formats|preparation|engine|model|method|scores|phantom|pictures)/|images/(?!node/)|version\\.ts|training/(configuration|schema-parts|model-configuration|named-parameters|step|pair-step|demo-settings)\\.ts)';
/** Runs in browsers alone; built by Vite. */
const browser = '^src/browser/';
/** Tests, and the helpers of tests in folders of that name: they may import any room, and nothing else may import them. */
const testing = '^src/.*(\\.test\\.ts$|/testing/)';
/** What each room may import besides itself. A room that is not named here may import nothing. */
const mayImport = {
  errors: [],
  random: ['errors'],
  geometry: ['errors', 'random'],
  formats: ['errors'],
  engine: ['errors', 'random'],
  model: ['errors', 'random', 'engine'],
  images: ['errors', 'geometry'],
  'images/node': ['errors', 'geometry', 'images', 'node'],
  preparation: ['errors', 'geometry', 'images'],
  method: ['errors', 'random', 'geometry', 'images', 'preparation', 'engine', 'model', 'scores'],
  scores: ['errors', 'random', 'geometry'],
  phantom: ['errors', 'random', 'geometry'],
  node: ['errors', 'random', 'geometry', 'formats', 'engine'],
  cohort: ['errors', 'random', 'geometry', 'preparation', 'formats', 'images', 'images/node', 'node'],
  pictures: ['errors', 'geometry'],
  training: ['errors', 'random', 'geometry', 'preparation', 'formats', 'engine', 'model', 'method', 'cohort', 'pictures', 'node'],
  registration: [
    'errors',
    'random',
    'geometry',
    'preparation',
    'formats',
    'engine',
    'model',
    'method',
    'images',
    'images/node',
    'cohort',
    'training',
    'node',
  ],
  evaluation: ['errors', 'random', 'geometry', 'preparation', 'scores', 'images', 'images/node', 'cohort', 'node'],
  transfer: [
    'errors',
    'random',
    'geometry',
    'preparation',
    'formats',
    'engine',
    'model',
    'method',
    'scores',
    'images',
    'images/node',
    'cohort',
    'pictures',
    'training',
    'node',
  ],
  study: ['errors', 'random', 'geometry', 'model', 'method', 'scores', 'cohort', 'pictures', 'training', 'transfer', 'node'],
  weights: ['errors', 'formats', 'engine', 'model', 'node', 'training'],
  bench: [
    'errors',
    'random',
    'geometry',
    'preparation',
    'engine',
    'model',
    'method',
    'phantom',
    'images',
    'images/node',
    'cohort',
    'training',
    'node',
  ],
  report: ['errors', 'geometry', 'cohort', 'pictures', 'training', 'method', 'node'],
};
const rooms = Object.keys(mayImport);
/** A room's files; what another room inside it holds is not its own. */
const pathOf = (room) => {
  const inner = rooms.filter((other) => other.startsWith(`${room}/`)).map((other) => other.slice(room.length + 1));
  return inner.length === 0 ? `^src/${room}/` : `^src/${room}/(?!(${inner.join('|')})/)`;
};

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'universal-without-node',
      comment: 'The core runs in browsers.',
      severity: 'error',
      from: { path: [universal, browser], pathNot: testing },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'universal-on-universal',
      comment: 'What runs in browsers stands on what runs in browsers.',
      severity: 'error',
      from: { path: [universal, browser], pathNot: testing },
      to: { path: '^src/', pathNot: [universal, browser] },
    },
    {
      name: 'browser-is-the-top',
      severity: 'error',
      from: { pathNot: browser },
      to: { path: browser },
    },
    ...rooms.map((room) => ({
      name: `layer-${room}`,
      severity: 'error',
      from: { path: pathOf(room), pathNot: testing },
      to: { path: '^src/', pathNot: ['^src/version\\.ts', ...[room, ...mayImport[room]].map(pathOf)] },
    })),
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: ['\\.d\\.ts$', '^src/(index|core)\\.ts$', '\\.as\\.ts$', '\\.test\\.ts$'] },
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
