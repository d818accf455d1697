/** The example, and a tour of what can be done with it. */
import { addSection, button, element, say } from '../../dom.ts';
import type { Workspace } from '../../workspace.ts';
import markup from './start.html?raw';

const MODEL = 'example-model';
const SUBJECTS = [0, 1];

async function fetchModel() {
  const part = async (file: string): Promise<Response> => {
    const answer = await fetch(`./${MODEL}/${file}`);
    if (!answer.ok)
      throw new Error(`the page's server has no ${MODEL}/${file}: ${answer.status}. Open a model and images of your own`);
    return answer;
  };
  const [config, weights] = await Promise.all([part('config.json'), part('model.safetensors')]);
  return { name: MODEL, config: await config.text(), weights: await weights.arrayBuffer() };
}

/** @returns opens the example */
export function startStart(workspace: Workspace): () => Promise<void> {
  const section = addSection(markup);

  /** The network that the page brings along, and two patients that are generated here. */
  const openExample = () =>
    workspace.alone(async () => {
      say('example-status', '');
      try {
        await workspace.openModel(await fetchModel(), true);
        const files = await Promise.all(
          SUBJECTS.map(async (subject) => new Blob([await workspace.compute.examplePatient(subject)])),
        );
        const chosen = files.map((file, subject) => ({ path: `patient_${subject + 1}.nii`, file }));
        const { images } = await workspace.compute.findImages(chosen);
        await workspace.openFound(images, true);
      } catch (error) {
        say('example-status', (error as Error).message, true);
      }
    });
  button('example').onclick = openExample;

  for (const step of section.querySelectorAll<HTMLButtonElement>('.tour button'))
    step.onclick = async () => {
      const [shown, clicked] = [element(step.dataset.section!), button(step.dataset.button!)];
      // the example takes the place of what is open and does not allow the step
      if (clicked.disabled) await openExample();
      if (clicked.disabled) return;
      for (const one of section.querySelectorAll('.tour [aria-current]')) one.removeAttribute('aria-current');
      step.setAttribute('aria-current', 'step');
      // keyboard and screen reader go along
      shown.scrollIntoView();
      shown.focus({ preventScroll: true });
      clicked.click();
    };
  return openExample;
}
