/** What is chosen or dropped is opened here, and what it is, or what is wrong with it, is said below its field. */
import { modelFiles, takeDropped } from '../../chosen-files.ts';
import { addSection, element, input, say } from '../../dom.ts';
import type { OpenImage, Role, Workspace } from '../../workspace.ts';
import markup from './open.html?raw';

const FIELDS: Readonly<Record<Role, string>> = { first: 'image', second: 'moving' };
const ROLES: readonly Role[] = ['first', 'second'];
const ofExample = (isExample: boolean, text: string): string => (isExample ? `Example: ${text}` : text);

export function startOpen(workspace: Workspace): void {
  addSection(markup);
  const hints = new Map(ROLES.map((role) => [role, element(`${FIELDS[role]}-text`).textContent]));

  const describe = ({ title, description, warnings, isExample }: OpenImage): string =>
    ofExample(isExample, [`${title}: ${description}`, ...warnings].join('; '));
  workspace.onChange((change) => {
    const { model } = workspace;
    if (change === 'model' && model) {
      say('model-text', model.isExample ? `Example: ${model.description}` : `${model.name}: ${model.description}`);
      // the field would go on naming the folder before
      if (model.isExample) input('model').value = '';
    }
    if (change !== 'images') return;
    for (const role of ROLES) {
      const image = workspace[role];
      if (image?.isExample) input(FIELDS[role]).value = '';
      say(`${FIELDS[role]}-text`, image ? describe(image) : hints.get(role)!);
    }
  });

  const opening = (field: string, name: string, open: () => Promise<unknown>) =>
    workspace.alone(async () => {
      say(`${field}-text`, `reading ${name} ...`);
      try {
        await open();
      } catch (error) {
        say(`${field}-text`, (error as Error).message, true);
      }
    });

  input('model').onchange = () => {
    const files = [...(input('model').files ?? [])];
    if (files.length === 0) return;
    opening('model', 'the model', async () => {
      const { name, config, weights } = modelFiles(files);
      await workspace.openModel({ name, config: await config.text(), weights: await weights.arrayBuffer() });
    });
  };

  const openImage = (role: Role, file: File) => opening(FIELDS[role], file.name, () => workspace.openImage(role, file));
  for (const role of ROLES)
    input(FIELDS[role]).onchange = () => {
      const file = input(FIELDS[role]).files?.[0];
      if (file) openImage(role, file);
    };
  takeDropped((file) => {
    if (workspace.busy) return;
    input('image').value = '';
    openImage('first', file);
  });
}
