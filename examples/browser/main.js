// The page: hands the chosen files to the worker, and shows what it says.
const element = (id) => document.getElementById(id);
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
worker.onmessage = ({ data }) => {
  element('status').textContent = data;
};

element('segment').onclick = async () => {
  const files = [...element('model').files];
  const named = (ending) => files.find(({ name }) => name.endsWith(ending));
  const [scan] = element('scan').files;
  worker.postMessage({
    config: await named('.json').text(),
    weights: await named('.safetensors').arrayBuffer(),
    name: scan.name,
    scan: await scan.arrayBuffer(),
  });
};
