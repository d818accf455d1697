/** Workers are modules: they import the package as the page does. */
export default { base: './', worker: { format: 'es' }, build: { target: 'es2023' } };
